"""From the name of an engine to a generator that is ready to draw: the one place where ``engine`` is understood."""

from __future__ import annotations

from typing import Any

import torch

from vmem_ros.pretrained.devices import usable_device
from vmem_ros.pretrained.factories import Entry, make
from vmem_ros.protocols import Generator

DEFAULT_ENGINE = "vmem"

#: Engines by name: memory's projection with its holes inpainted, pictures and their depth drawn in one sequence, clips
#: of a video network that is told in pictures or in latents, pipelines of diffusers that fill holes in pictures and in
#: clips, and the multi-view diffusion network. A new one is a folder beside this file and a line here.
ENGINES = {
    "reprojection": Entry(
        "vmem_ros.generation.reprojection:ReprojectionGenerator", "vmem_ros.generation.reprojection:ReprojectionOptions"
    ),
    "gac": Entry(
        "vmem_ros.generation.gac.generator:from_options",
        "vmem_ros.generation.gac.options:GacOptions",
        extra="diffusers transformers safetensors (or use the engine 'reprojection')",
    ),
    "spatia": Entry(
        "vmem_ros.generation.wan.generator:from_options",
        "vmem_ros.generation.wan.options:SpatiaOptions",
        extra="diffusers transformers safetensors (or use the engine 'reprojection')",
    ),
    "mirage": Entry(
        "vmem_ros.generation.mirage.generator:from_options",
        "vmem_ros.generation.mirage.options:MirageOptions",
        extra="diffusers transformers safetensors (or use the engine 'reprojection')",
    ),
    "inpaint": Entry(
        "vmem_ros.generation.inpaint.generator:from_options",
        "vmem_ros.generation.inpaint.options:InpaintOptions",
        extra="diffusers transformers safetensors (or use the engine 'reprojection')",
    ),
    "wan-vace": Entry(
        "vmem_ros.generation.wan_vace.generator:from_options",
        "vmem_ros.generation.wan_vace.options:VaceOptions",
        extra="diffusers transformers safetensors (or use the engine 'reprojection')",
    ),
    "vmem": Entry(
        "vmem_ros.generation.vmem.generator:from_options",
        "vmem_ros.generation.vmem.options:VMemOptions",
        extra="diffusers transformers safetensors (or use the engine 'reprojection')",
    ),
}


def load_generator(engine: str = DEFAULT_ENGINE, *, device: torch.device | str = "cpu", **options: Any) -> Generator:
    """Return the generator of an engine, its model loaded.

    :param engine: one of :data:`ENGINES`, or ``module:factory`` of your own, where ``factory(device=..., **options)``
        returns a :class:`vmem_ros.protocols.Generator`.
    :param device: where it works; see :func:`~vmem_ros.pretrained.devices.usable_device`.
    :param options: fields of the options of this engine.
    :raises ModelError: an unknown engine or device, an option that the engine does not have or that is out of range, a
        model that cannot be loaded, or a package that it needs.
    """
    generator: Generator = make(
        ENGINES, engine, what="engine", arguments={"device": usable_device(device)}, options=options
    )
    return generator
