"""A pipeline of diffusers from a folder or the cache of the Hub: checked, whole, without code, or a named error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import torch
from diffusers import DiffusionPipeline

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.pipeline_folder import load_networks, read_index
from vmem_ros.pretrained import hub
from vmem_ros.pretrained.components import quiet_libraries, refuse_code
from vmem_ros.pretrained.published import STOCK

# Stable Diffusion's own parts are named by the folder of the pipeline.
_OWN_PARTS = "stable_diffusion"
_LIBRARIES = ("diffusers", "transformers", _OWN_PARTS)


def read_stock_pipeline(
    source: Path | str,
    *,
    engine: str,
    choose: Callable[[str], type[DiffusionPipeline]],
    torch_dtype: torch.dtype = torch.float32,
    dtypes: Mapping[str, torch.dtype] | None = None,
    allow_download: bool = False,
) -> DiffusionPipeline:
    """Return a pipeline on the CPU, its progress bar switched off.

    :param source: a folder, or ``owner/name`` on the Hugging Face Hub.
    :param engine: that it is for, for messages.
    :param choose: returns the class for the name of the class that the folder is of; raises :class:`ModelError`.
    :param dtypes: of parts by name that are to have another type than ``torch_dtype``.
    :param allow_download: fetch what is not on this machine; otherwise only folders and the Hub's cache are read.
    :raises ModelError: not there, no pipeline of diffusers, with code in it, incomplete, or of another kind.
    """
    folder = _find(source, engine, allow_download)
    refuse_code(folder)
    again = f"name the folder of a pipeline of diffusers, or fetch one with `{fetch_command(engine, source)}`"
    name, parts = read_index(folder, again, _LIBRARIES)
    if name is None:
        raise ModelError(f"{folder}/model_index.json names no pipeline: {again}")
    kind = choose(name)
    if absent := [part for part in parts if not (folder / part).is_dir()]:
        raise ModelError(
            f"{folder} is not whole: it has no {', '.join(absent)}; run `{fetch_command(engine, source)}`, which goes "
            "on where it stopped"
        )
    parts = {n: (f"diffusers.pipelines.{m}" if m == _OWN_PARTS else m, c) for n, (m, c) in parts.items()}
    networks = load_networks(folder, parts, torch_dtype, dtypes=dtypes)
    try:
        with quiet_libraries():
            pipeline = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True, **networks)
    except Exception as error:  # the libraries raise half a dozen kinds
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise ModelError(f"{folder} cannot be loaded as a {kind.__name__}: {reason}") from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def pipeline_class(name: str) -> type[DiffusionPipeline] | None:
    """Return a class of diffusers by its name, if there is such a pipeline."""
    if not name.endswith("Pipeline"):
        return None
    try:
        found: Any = getattr(diffusers, name, None)
    except (ImportError, RuntimeError):  # it needs a package that is not installed
        return None
    return found if isinstance(found, type) and issubclass(found, DiffusionPipeline) else None


def fetch_command(engine: str, source: Path | str) -> str:
    """Return the command that fetches a model of an engine."""
    if Path(source).is_absolute() or Path(source).expanduser().exists() or str(source) == _default(engine):
        return f"vmem fetch {engine}"
    return f"vmem fetch {engine} --model {source}"


def _default(engine: str) -> str:
    return STOCK[engine][0].repository


def _find(source: Path | str, engine: str, allow_download: bool) -> Path:
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"{source} is a file: engine {engine!r} needs the folder of a pipeline of diffusers")
    if path.is_absolute() or str(source).startswith(("./", "../", "~")):
        raise ModelError(f"there is no folder {path}: give one, or owner/name of the Hugging Face Hub")
    repository, command = str(source), fetch_command(engine, source)
    if allow_download:
        elsewhere = f"run `{command} --to FOLDER` where there is one, copy the folder here, and name it as the model"
        return hub.bring(repository, elsewhere=elsewhere)
    folder = hub.cached_folder(repository)
    if folder is None:
        raise ModelError(
            f"the model {repository} of engine {engine!r} is not on this machine: fetch it with `{command}`, allow "
            "downloads, or give a folder"
        )
    return folder
