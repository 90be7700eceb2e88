"""From parameters to a world: its memory, the engine that generates, the estimator of geometry, and the device.

All are made in the worker's thread, which is where models are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from vmem_ros.generation.engines import ENGINES, load_generator
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.kernels import default_threads
from vmem_ros.memory import load_memory, memory_kind
from vmem_ros.nodes.interface.parameters import PARAMETERS
from vmem_ros.pointmaps import ESTIMATORS, SensorDepthOptions, load_estimator
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.pretrained.factories import Entry, has_option
from vmem_ros.pretrained.option_values import options_from_yaml
from vmem_ros.protocols import Generator, Memory, PointMapEstimator
from vmem_ros.world import World

# Parameters that are options of the engine, the memory and the estimator, where they are not at their defaults.
_ENGINE_OPTIONS = {
    "model.path": "model",
    "model.dtype": "dtype",
    "model.compile": "compile",
    "model.max_side": "max_side",
    "model.lora": "lora",
    "model.lora_scale": "lora_scale",
    "model.exemplars": "exemplars",
}
_GEOMETRY_OPTIONS = {
    "geometry.prior": "prior",
    "geometry.model": "model",
    "geometry.max_depth_m": "max_depth_m",
}
_MEMORY_OPTIONS = {"memory.max_views": "max_views", "memory.max_surfels": "max_surfels"}


def build_world(parameters: Mapping[str, Any]) -> World:
    """Return an empty world as the parameters describe it; loads the model, and sets how many threads this one uses.

    :param parameters: may change later: engines read those that need no restart again for each chunk.
    :raises ModelError: unknown memory, engine, option or device, or the model cannot be loaded.
    """
    torch.set_num_threads(parameters["model.cpu_threads"] or default_threads())
    device = usable_device(parameters["model.device"])
    generator = _generator(parameters, device)
    return World(
        _memory(parameters, device),
        generator,
        _estimator(parameters, device),
        k=parameters["camera.references"],
        chunk=parameters["camera.chunk"] or None,
        composite=parameters["composite"],
        reuse_views=parameters["reuse_views"],
        sensor=SensorDepthOptions(
            sensor=parameters["seed.sensor"],
            close_gaps_px=parameters["seed.close_gaps_px"],
            remove_flying=parameters["seed.remove_flying"],
        ),
    )


def _memory(parameters: Mapping[str, Any], device: torch.device) -> Memory:
    options = _changed(parameters, _MEMORY_OPTIONS) | options_from_yaml(parameters["memory.options"])
    return load_memory(memory_kind(parameters["memory.kind"], [parameters["engine"]]), device=device, **options)


def _generator(parameters: Mapping[str, Any], device: torch.device) -> Generator:
    """Return the generator; what is set for an engine that does not have it is an error of the registry."""
    options = _changed(parameters, _ENGINE_OPTIONS) | _permission(parameters, ENGINES, parameters["engine"])
    if parameters["engine"] in ("gac", "vmem"):
        options["sampling"] = lambda: _sampling(parameters)
    elif _sampling(parameters) != SamplingOptions():
        options["sampling"] = _sampling(parameters)
    return load_generator(
        parameters["engine"], device=device, **(options | options_from_yaml(parameters["engine_options"]))
    )


def _estimator(parameters: Mapping[str, Any], device: torch.device) -> PointMapEstimator:
    """Return the estimator; what is set for one that does not have it is an error of the registry."""
    name = parameters["geometry.estimator"]
    options = _changed(parameters, _GEOMETRY_OPTIONS) | _permission(parameters, ESTIMATORS, name)
    return load_estimator(name, device=device, **(options | options_from_yaml(parameters["geometry.options"])))


def _changed(parameters: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters that are not at their defaults, as options."""
    return {option: parameters[name] for name, option in names.items() if parameters[name] != PARAMETERS[name].default}


def _permission(parameters: Mapping[str, Any], registry: Mapping[str, Entry], name: str) -> dict[str, Any]:
    """Return ``allow_download`` as an option for those that have it: others have nothing to fetch."""
    asked = _changed(parameters, {"model.allow_download": "allow_download"})
    return asked if asked and has_option(registry, name, "allow_download") else {}


def _sampling(parameters: Mapping[str, Any]) -> SamplingOptions:
    """Return what the ``sampling`` parameters ask for; each has a value that stands for the model's own."""
    sampler, scale, least = (parameters[f"sampling.{name}"] for name in ("sampler", "guidance_scale", "guidance_min"))
    low, high = parameters["sampling.guidance_low"], parameters["sampling.guidance_high"]
    return SamplingOptions(
        sampler=None if sampler == "auto" else sampler,
        num_inference_steps=parameters["sampling.steps"] or None,
        guidance_scale=scale or None,
        guidance_min=least or None,
        guidance_interval=(low, high) if high else None,
    )
