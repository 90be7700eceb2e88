"""Walks on disk: made once, whole or not at all, read again by their number."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vmem_ros.errors import TrainingDataError
from vmem_ros.files import atomic_file
from vmem_ros.training.recipes.data import Data

# Walks of another version are made again.
_VERSION = 3
# What decides what a walk is; the other fields say how walks are used.
_FIELDS = (
    "size",
    "fov_deg",
    "step_m",
    "chunks",
    "chunk",
    "supersample",
    "walks_per_house",
    "time_of_day",
    "remembered",
    "imperfect",
)


@dataclass(frozen=True, eq=False)
class TensorRecord:
    """The base of dataclasses of tensors, some of which may be ``None``."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the fields by name, without those that are ``None``."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: tensor for name, tensor in fields.items() if tensor is not None}


T = TypeVar("T", bound=TensorRecord)


def cache_folder(root: Path, kind: str, data: Data) -> Path:
    """Return the folder of walks of a kind, named after it and what decides what they are."""
    fields = {name: getattr(data, name) for name in _FIELDS} | {"version": _VERSION}
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:12]
    return root / f"{kind}-{digest}"


class Cache(Generic[T]):
    """Numbered entries in a folder, one safetensors file each; several processes may share it.

    :param make: returns an entry by its number; equal numbers must give equal entries.
    :param kind: dataclass of the entries.
    """

    def __init__(self, folder: Path, make: Callable[[int], T], kind: type[T]) -> None:
        self.folder = folder
        self._make = make
        self._kind = kind

    def path(self, number: int) -> Path:
        """Return where an entry is, or will be."""
        return self.folder / f"{number:07d}.safetensors"

    def get(self, number: int) -> T:
        """Return an entry, and make and keep it if it is not there.

        :raises TrainingDataError: it cannot be written.
        """
        path = self.path(number)
        if path.exists():
            try:
                return self._kind(**self._complete(load_file(path)))
            except (OSError, SafetensorError, TypeError):
                # Cut short by a crash of the machine, say: made again below.
                path.unlink(missing_ok=True)
        made = self._make(number)
        try:
            with atomic_file(path) as new:
                save_file({name: tensor.contiguous() for name, tensor in made.tensors().items()}, new)
        except (OSError, SafetensorError) as error:
            raise TrainingDataError(
                f"cannot keep training data in {self.folder}: {error}; free some space, or choose another --cache, and "
                "start the same command again"
            ) from error
        return made

    def forget_before(self, number: int) -> None:
        """Delete the entries with lower numbers."""
        for path in self.folder.glob("[0-9]*.safetensors"):
            if int(path.stem) < number:
                path.unlink(missing_ok=True)

    def _complete(self, tensors: dict[str, Tensor]) -> dict[str, Tensor | None]:
        names = [field.name for field in dataclasses.fields(self._kind)]
        return {name: tensors.get(name) for name in names}
