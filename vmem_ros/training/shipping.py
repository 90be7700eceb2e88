"""A trained pipeline becomes a model of the package: small files, how it was made, a card, a manifest."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from diffusers import ConfigMixin
from PIL import Image

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.pipeline import VMemPipeline
from vmem_ros.generation.vmem.pipeline_folder import write_folder
from vmem_ros.generation.vmem.sampling_options import SamplingDefaults
from vmem_ros.pretrained import shipped
from vmem_ros.pretrained.components import quiet_libraries
from vmem_ros.training.log import read_log
from vmem_ros.training.model_card import Made, render_card

#: Most bytes of one file, and of all models together: what repositories and package indexes take without asking.
MAX_FILE_BYTES, MAX_TOTAL_BYTES = 15_000_000, 64_000_000
# Room for the names and shapes at the head of each file.
_SHARD_BYTES = MAX_FILE_BYTES - 200_000
# Sample sheets that are kept, the first and the last, and their quality as JPEG.
_SHEETS, _QUALITY = 2, 80


@dataclass(frozen=True)
class TrainingRecord:
    """One training that belongs to the story of a model.

    :param name: of its folder in the model: ``autoencoder``, ``generator``, or one of these with ``-`` and a word, for
        designs that were tried.
    :param folder: what ``vmem train --out`` named.
    :raises ModelError: a name that is none, or a folder without a log or a checkpoint.
    """

    name: str
    folder: Path

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)*", self.name):
            raise ModelError(f"the name of a training is small letters and digits with -, got {self.name!r}")
        if not read_log(self.folder / "log.jsonl") or self._about is None:
            raise ModelError(f"{self.folder} is no training: it has no log.jsonl, or no checkpoint with its recipe")

    @property
    def _about(self) -> Path | None:
        found = sorted(self.folder.glob("checkpoints/step-*/about.json"))
        return found[-1] if found else None

    def copy(self, into: Path) -> Made:
        """Put recipe, log, curves and some of the sample sheets into a folder, and return what a card says of them."""
        assert self._about is not None, "checked above"
        out = into / self.name
        out.mkdir(parents=True)
        about = json.loads(self._about.read_text(encoding="utf-8"))
        recipe = yaml.safe_dump(about["recipe"], sort_keys=False, width=120)
        (out / "recipe.yaml").write_text(recipe, encoding="utf-8")
        sheets = sorted(self.folder.glob("samples/*.png"))
        chosen = np.unique(np.linspace(0, len(sheets) - 1, min(_SHEETS, len(sheets))).round().astype(int))
        kept = [out / f"{sheets[i].stem}.jpg" for i in chosen]
        for i, sheet in zip(chosen, kept, strict=True):
            with Image.open(sheets[i]) as picture:
                picture.convert("RGB").save(sheet, quality=_QUALITY)
        for name in ("log.jsonl", "loss.png"):
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, out / name)
        log = read_log(out / "log.jsonl")
        return Made(self.name, self.folder, about["step"], log, tuple(sheet.name for sheet in kept))


def ship(
    pipeline: VMemPipeline,
    name: str,
    *,
    trainings: Mapping[str, Path],
    sampling: Mapping[str, Any],
    max_side: int | None,
    introduction: str,
    command: str,
    dtype: torch.dtype = torch.float16,
    overwrite: bool = False,
) -> int:
    """Write a model of the package and return its size in bytes; on any error what was there stays.

    :param pipeline: is converted to ``dtype``.
    :param name: one of :data:`~vmem_ros.pretrained.shipped.SHIPPED_MODELS`.
    :param trainings: folders of ``vmem train`` by name, see :class:`TrainingRecord`.
    :param sampling: fields of :class:`~vmem_ros.generation.vmem.sampling_options.SamplingDefaults` that differ from the
        pipeline's.
    :param max_side: the same for the pipeline's ``max_side``; ``None``: as it is.
    :param introduction: first part of the card, Markdown.
    :param command: what was typed to come here; part of the card.
    :param dtype: of the stored weights; they are computed with in the type that is asked for when they are loaded.
    :raises ModelError: an unknown name, a model that is there, weights that are not finite in ``dtype``, a training
        without log or recipe, or files that are larger than a package may hold.
    """
    if name not in shipped.SHIPPED_MODELS:
        raise ModelError(f"no model of vmem_ros is called {name!r}: allowed are {', '.join(shipped.SHIPPED_MODELS)}")
    told = trainings_for(name, trainings, overwrite=overwrite)
    own = {**(pipeline.config.sampling or {}), **sampling}
    SamplingDefaults.of(own)
    side = max_side or pipeline.config.max_side
    pipeline.register_to_config(sampling=own, max_side=side)
    for part in (pipeline, *pipeline.components.values()):
        if isinstance(part, ConfigMixin):
            # Where it was read from is of no use to anybody else.
            part.register_to_config(_name_or_path=name)
    with quiet_libraries():
        pipeline.to(dtype)
    for part, module in pipeline.components.items():
        if isinstance(module, torch.nn.Module):
            check_finite(part, module, dtype)

    return write_model(
        name,
        lambda new: pipeline.save_pretrained(new, safe_serialization=True, max_shard_size=_SHARD_BYTES),
        lambda made: render_card(pipeline, made, introduction=introduction, command=command, dtype=dtype),
        told,
    )


def trainings_for(name: str, trainings: Mapping[str, Path], *, overwrite: bool) -> list[TrainingRecord]:
    """Return the trainings that a model of the package is to tell of.

    :raises ModelError: the model is there, or a folder is no training.
    """
    folder = shipped.MODELS / name
    if folder.exists() and not overwrite:
        raise ModelError(f"{folder} exists: allow overwriting, or keep it")
    return [TrainingRecord(label, path) for label, path in trainings.items()]


def write_model(
    name: str, save: Callable[[Path], object], card: Callable[[list[Made]], str], told: Sequence[TrainingRecord]
) -> int:
    """Write weights, trainings, card and manifest of a model of the package, whole or not at all; return its bytes.

    :param save: writes configuration and weights into a folder.
    :param card: returns the text of the card.
    :raises ModelError: files that are larger than a package may hold.
    """

    def write(new: Path) -> None:
        with quiet_libraries():
            save(new)
        made = [training.copy(new / "training") for training in told]
        (new / "README.md").write_text(card(made), encoding="utf-8")
        shipped.write_manifest(new)
        _check_sizes(new, name)

    shipped.MODELS.mkdir(exist_ok=True)
    return write_folder(shipped.MODELS / name, write)


def check_finite(part: str, module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Raise :class:`ModelError` if a weight of a part, now of type ``dtype``, is not finite."""
    for name, tensor in module.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{part}.{name} is not finite in {dtype}: store the model as float32")


def _check_sizes(new: Path, name: str) -> None:
    """Raise :class:`ModelError` if a file, or all models together, are larger than a package may hold.

    :param new: folder of the model that is to be called ``name``.
    """
    sizes = _sizes(new)
    for path, size in sizes.items():
        if size > MAX_FILE_BYTES:
            raise ModelError(
                f"{path.relative_to(new)} would have {size / 1e6:.1f} MB, allowed are {MAX_FILE_BYTES / 1e6:.0f} MB a "
                "file: make the model smaller, or store it as float16"
            )
    others = (folder for folder in shipped.MODELS.iterdir() if folder.name != name and not folder.name.startswith("."))
    total = sum(sizes.values()) + sum(sum(_sizes(folder).values()) for folder in others)
    if total > MAX_TOTAL_BYTES:
        raise ModelError(
            f"all models of the package would have {total / 1e6:.1f} MB, allowed are {MAX_TOTAL_BYTES / 1e6:.0f} MB: "
            "make the model smaller, or tell of fewer trainings"
        )


def _sizes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
