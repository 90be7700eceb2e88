"""Published files of the video model and its scene branch, read into the network; nothing in them is executed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan.network import SceneWanTransformer3DModel
from vmem_ros.generation.wan.published import to_diffusers


def transformer_from_original(
    main: Path | str,
    control: Path | str,
    *,
    config: Mapping[str, Any] | None = None,
    torch_dtype: torch.dtype = torch.float32,
) -> SceneWanTransformer3DModel:
    """Return the network of published files, on the CPU.

    :param main: the video model (Wan 2.2 TI2V-5B): a safetensors file, or a folder of them with or without an index;
        under published names, or those of diffusers.
    :param control: the scene branch, such as Spatia's ``step-8500.safetensors``. It must have the layers that
        ``config`` says.
    :param config: fields of :class:`SceneWanTransformer3DModel` that differ from Spatia's size.
    :param torch_dtype: of all parameters but those that diffusers, too, keeps in float32.
    :raises ModelError: a file is missing or truncated, or does not fit.
    """
    states = [_read(Path(source).expanduser(), torch_dtype) for source in (main, control)]
    with torch.device("meta"):
        network = SceneWanTransformer3DModel(**(config or {}))
    return network.load_published(*states).eval().requires_grad_(False)


def _read(source: Path, torch_dtype: torch.dtype) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, or of all of a folder."""
    state: dict[str, Tensor] = {}
    exact = set(SceneWanTransformer3DModel._keep_in_fp32_modules)
    for path in _files(source):
        try:
            part = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{path} cannot be read: {error}; copy it again") from error
        if twice := sorted(state.keys() & part.keys()):
            raise ModelError(f"{twice[0]} is in several files of {source}: give one file, or a folder with one model")
        for name, tensor in part.items():
            keep = not exact.isdisjoint(to_diffusers(name).split("."))
            state[name] = tensor.to(torch.float32 if keep else torch_dtype)
    return state


def _files(source: Path) -> list[Path]:
    if source.is_file() and source.suffix == ".safetensors":
        return [source]
    indices = sorted(source.glob("*.safetensors.index.json")) if source.is_dir() else []
    if len(indices) == 1:
        try:
            names = set(json.loads(indices[0].read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ModelError(f"{indices[0]} cannot be read: {error}") from error
        files = [source / str(name) for name in sorted(names)]
        if missing := [path for path in files if path.parent != source or not path.is_file()]:
            raise ModelError(f"{missing[0]} is missing, which {indices[0]} names: copy the folder again")
        return files
    files = sorted(source.glob("*.safetensors")) if source.is_dir() else []
    if not files:
        raise ModelError(f"there are no weights at {source}: give a .safetensors file, or a folder with some")
    return files
