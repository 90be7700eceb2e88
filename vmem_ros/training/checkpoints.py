"""Checkpoints: everything that a training needs to go on, on the disk whole or not at all."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from vmem_ros.errors import CheckpointError
from vmem_ros.files import atomic_folder, remove_leftovers

_STATE, _ABOUT = "state.pt", "about.json"


class Checkpoints:
    """The newest checkpoints of one training, in a folder ``step-0000123`` each.

    :param keep: how many to keep.
    """

    def __init__(self, folder: Path, *, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    @property
    def newest(self) -> Path | None:
        """The folder of the newest checkpoint."""
        found = sorted(self._folder.glob("step-*"))
        return found[-1] if found else None

    def save(self, step: int, state: dict[str, Any], about: dict[str, Any]) -> Path:
        """Write a checkpoint, and delete those that are too many.

        :param state: tensors and what holds them.
        :param about: what JSON can hold.
        :raises CheckpointError: it cannot be written, for the disk is full, say; those before stay.
        """
        folder = self._folder / f"step-{step:07d}"
        # A training that was killed while it wrote one may never write that step again.
        remove_leftovers(self._folder, "step-*")
        try:
            with atomic_folder(folder) as new:
                torch.save(state, new / _STATE)
                (new / _ABOUT).write_text(json.dumps(about | {"step": step}), encoding="utf-8")
        except (OSError, RuntimeError) as error:
            # torch.save raises RuntimeError where the stream under it fails.
            newest = self.newest
            kept = f"the last one, {newest}, is unchanged" if newest else "there is none before it"
            raise CheckpointError(
                f"cannot write the checkpoint {folder}: {_root_cause(error)}; {kept}. Free some space and start the "
                "same command again"
            ) from error
        for old in sorted(self._folder.glob("step-*"))[: -self._keep]:
            shutil.rmtree(old)
        return folder

    def load(self, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return (state, about) of a checkpoint, on the CPU.

        :raises CheckpointError: missing or damaged.
        """
        try:
            about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
            state = torch.load(folder / _STATE, map_location="cpu", weights_only=True)
        except Exception as error:  # the unpickler raises whatever the bytes lead it to
            raise CheckpointError(
                f"the checkpoint {folder} cannot be read: {error}; delete it to go on from the one before"
            ) from error
        return state, about


def _root_cause(error: BaseException) -> BaseException:
    while error.__context__ is not None:
        error = error.__context__
    return error
