"""World files: one safetensors file, written beside and renamed into place, with a version and a checksum.

A safetensors file is a JSON header and raw tensors: reading it executes nothing. The old file stays complete and
loadable until the new one is on the disk, whatever kills the process in between.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.files import atomic_file

FORMAT = "vmem_world"
FORMAT_VERSION = 1


def write_world(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], *, overwrite: bool) -> int:
    """Write a world file atomically and return its size in bytes.

    :raises WorldFileError: the file exists and ``overwrite`` is false, the folder is missing, or the disk is full.
    """
    if path.is_dir():
        raise WorldFileError(f"{path} is a folder: give the name of a file in it")
    if path.exists() and not overwrite:
        raise WorldFileError(f"{path} exists: choose another name, or allow overwriting")
    if not path.parent.is_dir():
        raise WorldFileError(f"the folder {path.parent} does not exist: create it first")
    text = json.dumps(metadata)
    plain = _separate(tensors)
    header = {"format": FORMAT, "format_version": str(FORMAT_VERSION), "metadata": text, "sha256": _digest(plain, text)}
    try:
        with atomic_file(path) as new:
            save_file(plain, new, metadata=header)
            return new.stat().st_size
    except (OSError, SafetensorError) as error:
        raise WorldFileError(f"cannot write {path}: {error}; the old file, if there was one, is unchanged") from error


def read_world(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and metadata of a world file.

    :raises WorldFileError: missing, not a world file, truncated, changed since it was written, or from a newer version.
    """
    if not path.is_file():
        raise WorldFileError(f"{path} is not a file: save a world there first")
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            _check_version(path, header)
            # Copies: what safetensors gives are pages of the file, and change with it.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a mapping)
        metadata = json.loads(header["metadata"])
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        raise WorldFileError(f"{path} is no complete world file: {error}") from error
    if header.get("sha256") != _digest(tensors, header["metadata"]):
        raise WorldFileError(f"{path} was damaged or changed after it was written: its checksum does not match")
    if not isinstance(metadata, dict):
        raise WorldFileError(f"{path} has no metadata")
    return tensors, metadata


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
