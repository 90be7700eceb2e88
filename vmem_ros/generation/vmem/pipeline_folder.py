"""A pipeline as a folder, in the format of diffusers: read with named errors, written whole or not at all."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError

from vmem_ros.errors import ModelError
from vmem_ros.files import atomic_folder
from vmem_ros.generation.vmem.pipeline import MOVED_MODULES, VMemPipeline
from vmem_ros.pretrained.components import load_component, quiet_libraries
from vmem_ros.pretrained.shipped import SHIPPED_MODELS, check_manifest, shipped_folder

_INDEX = "model_index.json"
# A folder names the classes it is made of; only these packages are imported for it.
_LIBRARIES = ("diffusers", "transformers", "vmem_ros")
_MAX_SHARD = "2GB"


def read_pipeline(
    source: Path | str, *, torch_dtype: torch.dtype = torch.float32, allow_download: bool = False
) -> VMemPipeline:
    """Return the pipeline of a folder that ``save_pretrained`` or ``vmem convert`` wrote, on the CPU.

    :param source: one of :data:`~vmem_ros.pretrained.shipped.SHIPPED_MODELS`, a folder (``./small`` for one of such a
        name), or ``owner/name`` of a repository on the Hugging Face Hub.
    :param allow_download: fetch the repository; otherwise only folders and the Hub's cache are read.
    :raises ModelError: not there, another kind of pipeline, or a part that is truncated, incomplete or misfit.
    """
    folder = _local_folder(source, allow_download=allow_download)
    check_manifest(folder)
    parts = _networks(folder, torch_dtype)
    try:
        with quiet_libraries():
            return VMemPipeline.from_pretrained(folder, local_files_only=True, **parts)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{folder} cannot be loaded as a pipeline: {error}") from error


def read_networks(source: Path | str, *names: str) -> dict[str, Any]:
    """Return some of the networks of a pipeline by name, without loading the others; those that it lacks are left out.

    :param source: as of :func:`read_pipeline`, on this machine.
    :raises ModelError: see :func:`read_pipeline`.
    """
    folder = _local_folder(source, allow_download=False)
    check_manifest(folder)
    return _networks(folder, torch.float32, only=names)


def _networks(folder: Path, torch_dtype: torch.dtype, *, only: Sequence[str] | None = None) -> dict[str, Any]:
    networks = {}
    for name, (library, class_name) in _parts(folder).items():
        if only is not None and name not in only:
            continue
        try:
            cls = getattr(importlib.import_module(library), class_name)
        except (ImportError, AttributeError) as error:
            raise ModelError(
                f"{folder / _INDEX} names {library}.{class_name} as {name}, which cannot be imported ({error}): update "
                f"vmem_ros and {library.split('.')[0]}"
            ) from error
        if issubclass(cls, torch.nn.Module):
            networks[name] = load_component(cls, folder / name, torch_dtype=torch_dtype)
    return networks


def write_pipeline(
    pipeline: VMemPipeline,
    folder: Path,
    *,
    notice: str = "",
    overwrite: bool = False,
    max_shard_size: str = _MAX_SHARD,
) -> int:
    """Write a pipeline folder and return its size in bytes; a reader never sees half of one.

    :param notice: text of a file ``NOTICE`` in the folder; empty: none.
    :param overwrite: replace a pipeline that is there. Anything else is never replaced.
    :param max_shard_size: weights of a part that are larger become several files.
    :raises ModelError: ``folder`` exists, its parent does not, or the disk is full; nothing has changed then.
    """
    folder = folder.absolute()
    check_writable(folder, overwrite=overwrite)

    def write(new: Path) -> None:
        with quiet_libraries():
            pipeline.save_pretrained(new, safe_serialization=True, max_shard_size=max_shard_size)
        if notice:
            (new / "NOTICE").write_text(notice, encoding="utf-8")

    return write_folder(folder, write)


def write_folder(folder: Path, write: Callable[[Path], None]) -> int:
    """Replace a folder by what ``write`` puts into a new one, and return its size in bytes.

    :param write: called with the new folder, empty.
    :raises ModelError: it cannot be written; what was there is unchanged.
    """
    try:
        with atomic_folder(folder) as new:
            write(new)
            return sum(path.stat().st_size for path in new.rglob("*") if path.is_file())
    except (OSError, SafetensorError) as error:
        raise ModelError(f"cannot write {folder}: {error}; what was there, if anything, is unchanged") from error


def check_writable(folder: Path, *, overwrite: bool = False) -> None:
    """Raise :class:`ModelError` where :func:`write_pipeline` would refuse; costs nothing, so ask before long work."""
    if not folder.absolute().parent.is_dir():
        raise ModelError(f"the folder {folder.absolute().parent} does not exist: create it first")
    if not folder.exists():
        return
    if not overwrite:
        raise ModelError(f"{folder} exists: choose another name, or allow overwriting")
    if not (folder / _INDEX).is_file():
        raise ModelError(
            f"{folder} is no pipeline folder (it has no {_INDEX}), so it is not replaced: choose another name"
        )


def _local_folder(source: Path | str, *, allow_download: bool) -> Path:
    if source in SHIPPED_MODELS:
        return shipped_folder(str(source))
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    missing = (
        f"there is no pipeline folder {source}: make one from the published weights with `vmem convert`, or use a "
        f"model that comes with vmem_ros ({', '.join(SHIPPED_MODELS)})"
    )
    if path.exists():
        raise ModelError(
            f"{source} is a file, not a pipeline folder: make one from the published weights with `vmem convert`"
        )
    try:
        # Neither pickles nor code.
        return Path(
            snapshot_download(
                str(source), allow_patterns=["*.json", "*.safetensors"], local_files_only=not allow_download
            )
        )
    except HFValidationError as error:
        raise ModelError(missing) from error
    except LocalEntryNotFoundError as error:
        get = f"fetch a repository of that name with `hf download {source}`, or allow downloads"
        raise ModelError(f"{missing}, or {get}") from error
    except (OSError, HfHubHTTPError) as error:
        raise ModelError(f"{source} cannot be downloaded: {error}") from error


def _parts(folder: Path) -> dict[str, tuple[str, str]]:
    """Return name: (module, class) of the parts that a pipeline folder lists."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"{folder} has no {_INDEX}, so it is no pipeline folder: make one with `vmem convert`"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder / _INDEX} cannot be read: {error}") from error
    kind = index.get("_class_name") if isinstance(index, dict) else None
    if kind != VMemPipeline.__name__:
        raise ModelError(f"{folder} holds a {kind}, not a {VMemPipeline.__name__}: make one with `vmem convert`")
    listed: dict[str, Any] = {name: value for name, value in index.items() if isinstance(value, list)}
    for name, value in listed.items():
        if value != [None, None] and not (
            len(value) == 2 and all(isinstance(v, str) for v in value) and value[0].split(".")[0] in _LIBRARIES
        ):
            raise ModelError(
                f"{folder / _INDEX} names {value} as {name}: allowed are classes of {', '.join(_LIBRARIES)}"
            )
    return {name: (MOVED_MODULES.get(value[0], value[0]), value[1]) for name, value in listed.items() if value[0]}
