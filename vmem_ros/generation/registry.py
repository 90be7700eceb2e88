"""From the name of an engine to a generator that is ready to draw.

An engine is one of :data:`ENGINES`, or ``module:factory`` for one of your own, where ``factory(device="cuda")`` returns
a :class:`vmem_ros.protocols.Generator`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation.reprojection import ReprojectionGenerator
from vmem_ros.pretrained.devices import DtypeName, usable_device
from vmem_ros.pretrained.shipped import DEFAULT_MODEL
from vmem_ros.protocols import Generator

DEFAULT_ENGINE = "vmem"


def load_generator(engine: str = DEFAULT_ENGINE, *, device: torch.device | str = "cpu", **options: Any) -> Generator:
    """Return the generator of an engine, its model loaded.

    :param device: where it works; see :func:`usable_device`.
    :param options: of engine ``vmem``, which others do not look at: ``model``, ``dtype``, and those of
        :meth:`~vmem_ros.generation.vmem.generator.VMemGenerator.from_pretrained`.
    :raises ModelError: an unknown engine or device, a model that cannot be loaded, or a package that it needs.
    """
    device = usable_device(device)
    if engine in ENGINES:
        return ENGINES[engine](device, **options)
    module, separator, name = engine.partition(":")
    if not separator:
        raise ModelError(f"engine = {engine!r} is unknown: use {', '.join(ENGINES)}, or 'module:factory' of your own")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"engine = {engine!r} cannot be imported: {error}") from error
    out: Generator = factory(device=str(device))
    return out


def _vmem(
    device: torch.device, *, model: Path | str = DEFAULT_MODEL, dtype: DtypeName = "auto", **options: Any
) -> Generator:
    """Return the diffusion generator of a model."""
    try:
        from vmem_ros.generation.vmem.generator import VMemGenerator
    except ImportError as error:
        raise ModelError(
            f"engine = 'vmem' needs a package that cannot be imported ({error}): pip install diffusers transformers "
            "accelerate peft safetensors, or use the engine 'reprojection'"
        ) from error
    if dtype == "auto":
        dtype = "float32" if device.type == "cpu" else "bfloat16"
    return VMemGenerator.from_pretrained(model, device=device, dtype=getattr(torch, dtype), **options)


#: Engines by name: what memory shows with its holes inpainted, and the multi-view diffusion network.
ENGINES: dict[str, Callable[..., Generator]] = {
    "reprojection": lambda device, **options: ReprojectionGenerator(),
    "vmem": _vmem,
}
