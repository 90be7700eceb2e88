"""A pipeline as a folder, in the format of diffusers: read with named errors, written whole or not at all."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import DiffusionPipeline
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError

from vmem_ros.errors import ModelError
from vmem_ros.files import atomic_folder
from vmem_ros.generation.vmem.pipeline import MOVED_MODULES, VMemPipeline
from vmem_ros.pretrained.components import load_component, quiet_libraries, refuse_code
from vmem_ros.pretrained.shipped import SHIPPED_MODELS, check_manifest, shipped_folder

_INDEX = "model_index.json"
# A folder names the classes it is made of; only these packages are imported for it.
_LIBRARIES = ("diffusers", "transformers", "vmem_ros")
_MAX_SHARD = "2GB"
_CONVERT, _TRAIN = "make one with `vmem convert`", "make one with `vmem train generator`"

#: Modules of the pipelines of the package, by the names of their classes, which their folders say.
PIPELINES = {
    "GacPipeline": "vmem_ros.generation.gac.pipeline",
    "SceneWanPipeline": "vmem_ros.generation.wan.pipeline",
    "VMemPipeline": "vmem_ros.generation.vmem.pipeline",
}

P = TypeVar("P", bound=DiffusionPipeline)


def read_pipeline(
    source: Path | str, *, torch_dtype: torch.dtype = torch.float32, allow_download: bool = False
) -> VMemPipeline:
    """Return the pipeline of a folder that ``save_pretrained`` or ``vmem convert`` wrote, on the CPU.

    Arguments and errors as of :func:`read_pipeline_of`.
    """
    return read_pipeline_of(VMemPipeline, source, torch_dtype=torch_dtype, allow_download=allow_download)


def read_pipeline_of(
    kind: type[P],
    source: Path | str,
    *,
    torch_dtype: torch.dtype = torch.float32,
    allow_download: bool = False,
) -> P:
    """Return the pipeline of a folder that ``save_pretrained`` of its class wrote, on the CPU.

    :param kind: the class.
    :param source: one of :data:`~vmem_ros.pretrained.shipped.SHIPPED_MODELS`, a folder (``./small`` for one of such a
        name), or ``owner/name`` of a repository on the Hugging Face Hub.
    :param allow_download: fetch the repository; otherwise only folders and the Hub's cache are read.
    :raises ModelError: not there, another kind of pipeline, with code in it, or a part that is truncated, incomplete or
        misfit.
    """
    folder = _local_folder(source, allow_download=allow_download)
    refuse_code(folder)
    check_manifest(folder)
    parts = _networks(folder, torch_dtype, kind)
    try:
        with quiet_libraries():
            return kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, **parts)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"{folder} cannot be loaded as a pipeline: {error}") from error


def read_any_pipeline(source: Path | str) -> Any:
    """Return the pipeline of a folder on this machine, whichever of :data:`PIPELINES` it holds.

    :raises ModelError: see :func:`read_pipeline_of`.
    """
    name = _index(_local_folder(source, allow_download=False)).get("_class_name")
    if name not in PIPELINES:
        raise ModelError(f"{source} holds a {name}: allowed are {', '.join(PIPELINES)}")
    return read_pipeline_of(getattr(importlib.import_module(PIPELINES[name]), name), source)


def read_networks(source: Path | str, *names: str) -> dict[str, Any]:
    """Return some of the networks of a :class:`VMemPipeline` by name, without loading the others.

    Those that it lacks are left out.

    :param source: as of :func:`read_pipeline`, on this machine.
    :raises ModelError: see :func:`read_pipeline`.
    """
    folder = _local_folder(source, allow_download=False)
    refuse_code(folder)
    check_manifest(folder)
    return _networks(folder, torch.float32, VMemPipeline, only=names)


def _networks(
    folder: Path, torch_dtype: torch.dtype, kind: type[DiffusionPipeline], *, only: Sequence[str] | None = None
) -> dict[str, Any]:
    parts = _parts(folder, kind)
    return load_networks(folder, {n: part for n, part in parts.items() if only is None or n in only}, torch_dtype)


def load_networks(
    folder: Path,
    parts: Mapping[str, tuple[str, str]],
    torch_dtype: torch.dtype,
    *,
    dtypes: Mapping[str, torch.dtype] | None = None,
) -> dict[str, Any]:
    """Return the networks among the parts of a pipeline folder by name: whole, or an error.

    :param parts: name: (module, class) as of :func:`read_index`.
    :param dtypes: of parts by name that are to have another type.
    :raises ModelError: a class that cannot be imported, or see :func:`~vmem_ros.pretrained.components.load_component`.
    """
    networks = {}
    for name, (library, class_name) in parts.items():
        try:
            cls = getattr(importlib.import_module(library), class_name)
        except (ImportError, AttributeError) as error:
            raise ModelError(
                f"{folder / _INDEX} names {library}.{class_name} as {name}, which cannot be imported ({error}): update "
                f"vmem_ros and {library.split('.')[0]}"
            ) from error
        if issubclass(cls, torch.nn.Module):
            networks[name] = load_component(cls, folder / name, torch_dtype=(dtypes or {}).get(name, torch_dtype))
    return networks


def write_pipeline(
    pipeline: DiffusionPipeline,
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


def _index(folder: Path, make_one: str = _TRAIN) -> dict[str, Any]:
    """Return what a pipeline folder says of itself."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder} has no {_INDEX}, so it is no pipeline folder: {make_one}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{folder / _INDEX} cannot be read: {error}") from error
    return index if isinstance(index, dict) else {}


def _parts(folder: Path, kind: type[DiffusionPipeline]) -> dict[str, tuple[str, str]]:
    """Return name: (module, class) of the parts that the folder of a kind of pipeline lists."""
    make_one = _CONVERT if kind is VMemPipeline else _TRAIN
    found, parts = read_index(folder, make_one)
    if found != kind.__name__:
        raise ModelError(f"{folder} holds a {found}, not a {kind.__name__}: {make_one}")
    return parts


def read_index(
    folder: Path, make_one: str, libraries: Sequence[str] = _LIBRARIES
) -> tuple[str | None, dict[str, tuple[str, str]]]:
    """Return the name of the class that a pipeline folder is of, and name: (module, class) of the parts that it lists.

    :param make_one: what to do where there is none.
    :param libraries: packages whose classes it may name.
    :raises ModelError: it is no pipeline folder, cannot be read, or names a class of another package.
    """
    index = _index(folder, make_one)
    found = index.get("_class_name")
    listed: dict[str, Any] = {name: value for name, value in index.items() if isinstance(value, list)}
    for name, value in listed.items():
        if value != [None, None] and not (
            len(value) == 2 and all(isinstance(v, str) for v in value) and value[0].split(".")[0] in libraries
        ):
            raise ModelError(
                f"{folder / _INDEX} names {value} as {name}: allowed are classes of {', '.join(libraries)}"
            )
    parts = {name: (MOVED_MODULES.get(value[0], value[0]), value[1]) for name, value in listed.items() if value[0]}
    return found if isinstance(found, str) else None, parts
