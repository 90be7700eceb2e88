"""Models of the package on disk: whole or not at all, and no larger than a package may be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.pipeline_folder import write_folder
from vmem_ros.pretrained import shipped
from vmem_ros.pretrained.components import quiet_libraries
from vmem_ros.training.shipping.model_card import TrainingSummary
from vmem_ros.training.shipping.records import TrainingRecord

#: Most bytes of one file, and of all models together: what repositories and package indexes take without asking.
MAX_FILE_BYTES, MAX_TOTAL_BYTES = 15_000_000, 100_000_000


def check_name_is_free(name: str, *, overwrite: bool) -> None:
    """Raise :class:`ModelError` if the package has a model of that name and it is not to be replaced."""
    folder = shipped.MODELS / name
    if folder.exists() and not overwrite:
        raise ModelError(f"{folder} exists: allow overwriting, or keep it")


def check_finite(part: str, module: torch.nn.Module, dtype: torch.dtype) -> None:
    """Raise :class:`ModelError` if a weight of a part, now of type ``dtype``, is not finite."""
    for name, tensor in module.state_dict().items():
        if not bool(torch.isfinite(tensor).all()):
            raise ModelError(f"{part}.{name} is not finite in {dtype}: store the model as float32")


def write_model(
    name: str,
    save: Callable[[Path], object],
    render_card: Callable[[Sequence[TrainingSummary]], str],
    records: Sequence[TrainingRecord],
) -> int:
    """Write weights, trainings, card and manifest of a model of the package, whole or not at all; return its bytes.

    :param save: writes configuration and weights into a folder.
    :param render_card: returns the text of the card.
    :raises ModelError: files that are larger than a package may hold.
    """

    def write(new: Path) -> None:
        with quiet_libraries():
            save(new)
        summaries = [record.copy(new / "training") for record in records]
        (new / "README.md").write_text(render_card(summaries), encoding="utf-8")
        shipped.write_manifest(new)
        _check_sizes(new, name)

    shipped.MODELS.mkdir(exist_ok=True)
    return write_folder(shipped.MODELS / name, write)


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
            "make the model smaller, or leave trainings out of its story"
        )


def _sizes(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
