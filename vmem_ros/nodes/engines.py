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

EngineFactory = Callable[..., Generator]

#: Engines that ship with the package, by name.
ENGINES: dict[str, EngineFactory] = {"reprojection": lambda device: ReprojectionGenerator()}
#: Estimators of the depth of new views, by name.
ESTIMATORS: dict[str, Callable[[], PointMapEstimator]] = {"memory": MemoryDepth}


def build_world(parameters: Mapping[str, Any]) -> World:
    """Return an empty world as the parameters describe it; loads the model, and sets how many threads this one uses.

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
        _engine(parameters["engine"])(device=str(device)),
        ESTIMATORS[parameters["geometry.estimator"]](),
        k=parameters["camera.references"],
        chunk=parameters["camera.chunk"],
        composite=parameters["composite"],
        reuse_views=parameters["reuse_views"],
    )


def _engine(name: str) -> EngineFactory:
    if name in ENGINES:
        return ENGINES[name]
    module, separator, factory = name.partition(":")
    if not separator:
        raise ModelError(f"engine = {name!r} is unknown: use {', '.join(ENGINES)}, or 'module:factory' of your own")
    try:
        out: EngineFactory = getattr(importlib.import_module(module), factory)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"engine = {name!r} cannot be imported: {error}") from error
    return out


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        available = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ModelError(f"model.device = {name!r} cannot be used ({error}): available are {available}") from error
    return device
