"""From parameters to a world: the engine that generates, the estimator of geometry, and the device.

Engines are those of :mod:`vmem_ros.generation.registry`, estimators those of :mod:`vmem_ros.pointmaps.registry`; both
are made in the worker's thread, which is where models are loaded.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import torch

from vmem_ros.generation.registry import load_generator
from vmem_ros.pretrained.devices import usable_device
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryConfig
from vmem_ros.pointmaps import load_estimator
from vmem_ros.world import World


def build_world(parameters: Mapping[str, Any]) -> World:
    """Return an empty world as the parameters describe it; loads the model, and sets how many threads this one uses.

    :param parameters: may change later: engines read those that need no restart again for each chunk.
    :raises ModelError: unknown engine or device, or the model cannot be loaded.
    """
    # Where threads of tensor operations wait for a core that the executor or another process holds, all wait.
    torch.set_num_threads(parameters["model.cpu_threads"] or max(1, (os.cpu_count() or 2) - 1))
    device = usable_device(parameters["model.device"])
    generator = load_generator(
        parameters["engine"],
        device=device,
        model=parameters["model.path"],
        dtype=parameters["model.dtype"],
        sampling=lambda: _asked(parameters),
        compile=parameters["model.compile"],
        max_side=parameters["model.max_side"] or None,
        lora=parameters["model.lora"] or None,
        lora_scale=parameters["model.lora_scale"],
        allow_download=parameters["model.allow_download"],
    )
    estimator = load_estimator(
        parameters["geometry.estimator"],
        model=parameters["geometry.model"] or None,
        device=device,
        max_depth_m=parameters["geometry.max_depth_m"] or None,
        allow_download=parameters["model.allow_download"],
    )
    config = SurfelMemoryConfig(
        max_views=parameters["memory.max_views"] or None, max_surfels=parameters["memory.max_surfels"] or None
    )
    return World(
        SurfelMemory(config, device=device),
        generator,
        estimator,
        k=parameters["camera.references"],
        chunk=parameters["camera.chunk"],
        composite=parameters["composite"],
        reuse_views=parameters["reuse_views"],
    )


def _asked(parameters: Mapping[str, Any]) -> SamplingOptions:
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
