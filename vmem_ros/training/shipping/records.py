"""The story of a model: trainings that belong to it, copied beside it in small."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from vmem_ros.errors import ModelError
from vmem_ros.training.log import read_log
from vmem_ros.training.shipping.model_card import TrainingSummary

# Sample sheets that are kept, the first and the last, and their quality as JPEG.
_SHEETS, _QUALITY = 2, 80


@dataclass(frozen=True)
class TrainingRecord:
    """One training that belongs to the story of a model.

    :param name: of its folder in the model: what it trained, such as ``autoencoder``, or that with ``-`` and a word for
        a design that was tried.
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

    def copy(self, into: Path) -> TrainingSummary:
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
        batch = about["recipe"]["optimisation"]["batch"]
        return TrainingSummary(self.name, self.folder, about["step"], batch, log, tuple(sheet.name for sheet in kept))


def training_records(trainings: Mapping[str, Path]) -> list[TrainingRecord]:
    """Return the trainings of a model by name.

    :raises ModelError: a folder is no training.
    """
    return [TrainingRecord(name, folder) for name, folder in trainings.items()]
