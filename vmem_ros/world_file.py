"""World files: one safetensors file, written beside and renamed into place, with a version and a checksum.

A safetensors file is a JSON header and raw tensors: reading it executes nothing. The old file stays complete and
loadable until the new one is on the disk, whatever kills the process in between.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.files import atomic_file, remove_leftovers

FORMAT = "vmem_world"
FORMAT_VERSION = 1
_LONGEST_NAME = 200


def write_world(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    *,
    overwrite: bool,
    make_folder: bool = False,
) -> int:
    """Write a world file atomically and return its size in bytes.

    A new file can be read by its owner alone, for it holds pictures of a camera; one that is replaced keeps its
    permissions. What killed processes have left of worlds in the same folder is removed.

    :param make_folder: make the folders above it.
    :raises WorldFileError: the file exists and ``overwrite`` is false, the folder is missing, the name is impossible,
        or the disk is full.
    """
    try:
        if path.is_dir():
            raise WorldFileError(f"{path} is a folder: give the name of a file in it")
        if path.exists() and not overwrite:
            raise WorldFileError(f"{path} exists: choose another name, or allow overwriting")
        if not (make_folder or path.parent.is_dir()):
            raise WorldFileError(f"the folder {path.parent} does not exist: create it first")
        remove_leftovers(path.parent, "*")
        text, plain = json.dumps(metadata), _separate(tensors)
        header = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "metadata": text}
        header["sha256"] = _digest(plain, text)
        with atomic_file(path, private=True) as new:
            save_file(plain, new, metadata=header)
            return new.stat().st_size
    except (OSError, SafetensorError, RecursionError) as error:
        raise WorldFileError(
            f"cannot write {_named(path)}: {_reason(error)}; the old file, if there was one, is unchanged"
        ) from error


def read_world(
    path: Path, *, check: Callable[[Mapping[str, Any], Mapping[str, Sequence[int]]], object] | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and metadata of a world file.

    What can be wrong with it is found before memory is taken for it: first what its header says, then its checksum.

    :param check: called with the metadata and the shapes of the tensors before these are read; raises what is wrong.
    :raises WorldFileError: missing, not a world file, truncated, changed since it was written, or from a newer version.
    """
    try:
        if not path.is_file():
            raise WorldFileError(f"{_named(path)} is not a file: save a world there first")
        before = path.stat()
        with safe_open(path, framework="pt") as file:
            header, names = file.metadata() or {}, tuple(file.keys())
            metadata = _metadata_of(path, header)
            if check is not None:
                check(metadata, {name: file.get_slice(name).get_shape() for name in names})
            pages = {name: file.get_tensor(name) for name in names}
            if header.get("sha256") != _digest(pages, header["metadata"]):
                raise WorldFileError(f"{path} was damaged or changed after it was written: its checksum does not match")
            # What safetensors gives are pages of the file, and change with it.
            tensors = {name: tensor.clone() for name, tensor in pages.items()}
        after = path.stat()
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise WorldFileError(f"{_named(path)} is no complete world file: {_reason(error)}") from error
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise WorldFileError(f"{path} changed while it was read: load it again")
    return tensors, metadata


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata of a world file; its tensors are not read, nor its checksum.

    :raises WorldFileError: missing, not a world file, or from a newer version.
    """
    try:
        if not path.is_file():
            raise WorldFileError(f"{_named(path)} is not a file: save a world there first")
        with safe_open(path, framework="pt") as file:
            return _metadata_of(path, file.metadata() or {})
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise WorldFileError(f"{_named(path)} is no complete world file: {_reason(error)}") from error


def _metadata_of(path: Path, header: Mapping[str, str]) -> dict[str, Any]:
    _check_version(path, header)
    metadata = json.loads(header["metadata"])
    if not isinstance(metadata, dict):
        raise WorldFileError(f"{path} has no metadata")
    return metadata


def _named(path: Path) -> str:
    """Return a path for a message, which one of thousands of characters would fill."""
    text = str(path)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME // 2]} ... {text[-_LONGEST_NAME // 2 :]}"


def _reason(error: Exception) -> str:
    """Return what went wrong, without the path that an ``OSError`` repeats."""
    if isinstance(error, RecursionError):
        return "too deep: too many folders, or brackets, within each other"
    return getattr(error, "strerror", None) or str(error)


def _check_version(path: Path, header: Mapping[str, str]) -> None:
    if header.get("format") != FORMAT:
        raise WorldFileError(f"{path} is a safetensors file, but not a world")
    version = int(header["format_version"])
    if version < 1:
        raise WorldFileError(f"{path} has format version {version}: there is no such version")
    if version > FORMAT_VERSION:
        raise WorldFileError(
            f"{path} has format version {version}; this program reads up to {FORMAT_VERSION}: update vmem_ros"
        )


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous CPU tensors that share no storage, which safetensors requires."""
    out: dict[str, Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        if plain.untyped_storage().data_ptr() in storages:
            plain = plain.clone()
        storages.add(plain.untyped_storage().data_ptr())
        out[name] = plain
    return out


def _digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """Return the SHA-256 over names, types, shapes, bytes and metadata."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
