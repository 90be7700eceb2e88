"""Experiment trackers, which get the figures of the log as well: TensorBoard or Weights & Biases, by accelerate."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, get_args

from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available, is_wandb_available

from vmem_ros.errors import MissingPackageError

Tracker = Literal["tensorboard", "wandb"]
TRACKERS: tuple[Tracker, ...] = get_args(Tracker)
_AVAILABLE = {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}
# TensorBoard's folder in that of the training; the name of the project for Weights & Biases.
_PROJECTS: dict[Tracker, str] = {"tensorboard": "tensorboard", "wandb": "vmem_ros"}


def check_tracker(tracker: Tracker) -> None:
    """Raise :class:`MissingPackageError` if the package of a tracker is not installed; accelerate would go without."""
    if not _AVAILABLE[tracker]():
        raise MissingPackageError(f"--tracker {tracker} needs a package that is not installed: pip install {tracker}")


@contextmanager
def tracking(accelerator: Accelerator, tracker: Tracker | None, out: Path, recipe: Mapping[str, Any]) -> Iterator[None]:
    """Track what ``accelerator.log`` is given in the block.

    :param accelerator: made with ``log_with=tracker`` and ``project_dir=out``.
    :param tracker: ``None``: nothing is tracked.
    :param out: folder of the training; its name is that of the run, TensorBoard's files go to ``out/tensorboard``.
    :param recipe: what JSON can hold; shown beside the run.
    """
    if tracker is None:
        yield
        return
    own = {"wandb": {"name": out.name, "dir": str(out)}}
    accelerator.init_trackers(_PROJECTS[tracker], config=_flat(recipe), init_kwargs=own)
    try:
        yield
    finally:
        # Not end_training(): it would also end the group of processes.
        for each in accelerator.trackers:
            each.finish()


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the fields of all sections as ``section.field``, lists and null as text: trackers take no others."""
    found: dict[str, Any] = {}
    for name, value in recipe.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value if isinstance(value, (bool, int, float, str)) else json.dumps(value)
    return found
