"""From parameters to a world: engines (generators), geometry estimators and the device.

An engine is named by the parameter ``engine``: a name of :data:`ENGINES`, or ``module:factory`` for one of your own,
where ``factory(device="cuda")`` returns a :class:`vmem_ros.protocols.Generator`. It is called in the worker's thread,
which is where models are loaded.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.memory import SurfelMemory, SurfelMemoryConfig
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.protocols import Generator, PointMapEstimator
from vmem_ros.world import World

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
#: Estimators of the depth of new views, by name.
ESTIMATORS: dict[str, Callable[[], PointMapEstimator]] = {"memory": MemoryDepth}


def _vmem(device: torch.device, parameters: Mapping[str, Any]) -> Generator:
    """Return the diffusion generator; it follows changes of the ``sampling`` parameters from one chunk to the next."""
    path = parameters["model.path"]
    if not path:
        raise ModelError("engine = 'vmem' needs model.path: the folder that `vmem convert` wrote")
    try:
        from vmem_ros.generation.vmem_generator import Sampling, VMemGenerator
    except ImportError as error:
        raise ModelError(
            f"engine = 'vmem' needs a package that cannot be imported ({error}): pip install diffusers transformers "
            "accelerate peft safetensors"
        ) from error

    def sampling() -> Sampling:
        p = {
            name.removeprefix("sampling."): value for name, value in parameters.items() if name.startswith("sampling.")
        }
        return Sampling(
            sampler=p["sampler"],
            num_inference_steps=p["steps"] or None,
            guidance_scale=p["guidance_scale"],
            guidance_min=p["guidance_min"],
            guidance_interval=(p["guidance_low"], p["guidance_high"]),
        )

    dtype = parameters["model.dtype"]
    return VMemGenerator.from_pretrained(
        path,
        device=device,
        dtype=_DTYPES.get(dtype, torch.float32 if device.type == "cpu" else torch.bfloat16),
        sampling=sampling,
        compile=parameters["model.compile"],
        max_side=parameters["model.max_side"] or None,
        lora=parameters["model.lora"] or None,
        lora_scale=parameters["model.lora_scale"],
        allow_download=parameters["model.allow_download"],
    )


#: Engines that ship with the package, by name.
ENGINES: dict[str, Callable[[torch.device, Mapping[str, Any]], Generator]] = {
    "reprojection": lambda device, parameters: ReprojectionGenerator(),
    "vmem": _vmem,
}


def build_world(parameters: Mapping[str, Any]) -> World:
    """Return an empty world as the parameters describe it; loads the model, and sets how many threads this one uses.

    :param parameters: may change later: engines read those that need no restart again for each chunk.
    :raises ModelError: unknown engine or device, or the model cannot be loaded.
    """
    # Where threads of tensor operations wait for a core that the executor or another process holds, all wait.
    torch.set_num_threads(parameters["model.cpu_threads"] or max(1, (os.cpu_count() or 2) - 1))
    device = _device(parameters["model.device"])
    config = SurfelMemoryConfig(
        max_views=parameters["memory.max_views"] or None, max_surfels=parameters["memory.max_surfels"] or None
    )
    return World(
        SurfelMemory(config, device=device),
        _generator(parameters["engine"], device, parameters),
        ESTIMATORS[parameters["geometry.estimator"]](),
        k=parameters["camera.references"],
        chunk=parameters["camera.chunk"],
        composite=parameters["composite"],
        reuse_views=parameters["reuse_views"],
    )


def _generator(engine: str, device: torch.device, parameters: Mapping[str, Any]) -> Generator:
    if engine in ENGINES:
        return ENGINES[engine](device, parameters)
    module, separator, name = engine.partition(":")
    if not separator:
        raise ModelError(f"engine = {engine!r} is unknown: use {', '.join(ENGINES)}, or 'module:factory' of your own")
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"engine = {engine!r} cannot be imported: {error}") from error
    out: Generator = factory(device=str(device))
    return out


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        available = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ModelError(f"model.device = {name!r} cannot be used ({error}): available are {available}") from error
    return device
