"""Checkpoints: everything that a training needs to go on, on the disk whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from vmem_ros.errors import CheckpointError

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
        beside = folder.with_name(f".{folder.name}.{os.getpid()}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            for left in self._folder.glob(".step-*"):
                # Of a training that was killed while it wrote.
                shutil.rmtree(left)
            beside.mkdir()
            with (beside / _STATE).open("wb") as file:
                torch.save(state, file)
                _flush(file)
            with (beside / _ABOUT).open("w", encoding="utf-8") as text:
                json.dump(about | {"step": step}, text)
                _flush(text)
            if folder.exists():
                shutil.rmtree(folder)
            beside.rename(folder)
        except (OSError, RuntimeError) as error:
            # torch.save raises RuntimeError where the stream under it fails.
            shutil.rmtree(beside, ignore_errors=True)
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


def _flush(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _root_cause(error: BaseException) -> BaseException:
    while error.__context__ is not None:
        error = error.__context__
    return error
