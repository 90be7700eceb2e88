"""Spatial memories, each with the network that was trained to draw what it does not know, and what to beat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from vmem_ros.evaluation.ablation_methods import Method, build_world
from vmem_ros.generation.engines import load_generator
from vmem_ros.memory import load_memory
from vmem_ros.protocols import Generator, Memory, PointMapEstimator
from vmem_ros.world import World


@dataclass(frozen=True, kw_only=True)
class System:
    """A memory and an engine, by their names, as a world uses them.

    :param method: which references, whether the generator is told what memory shows, and what is laid over its picture.
    :param options: of the engine.
    """

    memory: str
    engine: str
    method: Method
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of tables and pictures."""
        return self.method.name


def _complete(name: str, memory: str, engine: str, **options: Any) -> System:
    return System(memory=memory, engine=engine, method=Method(name=name, composite="remembered"), options=options)


# What networks say for themselves is compared, and once what pictures of other places add to it.
_ALONE = {"exemplars": "none"}


#: What is compared: four systems with the package's models, the first one's with exemplars, its network without a
#: memory, and the surfel memory without a network.
SYSTEMS = (
    _complete("VMem: surfels", "surfel", "vmem", **_ALONE),
    _complete("Spatia: points", "points", "spatia"),
    _complete("Mirage: latents", "latent", "mirage"),
    _complete("Geometry-as-Context", "surfel", "gac"),
    _complete("VMem with exemplars", "surfel", "vmem"),
    System(
        memory="surfel",
        engine="vmem",
        method=Method(name="no memory: newest views", references="recent", projection=False),
        options=_ALONE,
    ),
    _complete("no network: surfels, inpainted", "surfel", "reprojection"),
)


@dataclass(frozen=True, eq=False)
class LoadedSystem:
    """A system with its network in place.

    :param empty: a memory of its kind.
    """

    system: System
    generator: Generator
    empty: Memory

    @classmethod
    def of(cls, system: System, *, model: str | None = None, device: torch.device | str = "cpu") -> LoadedSystem:
        """Load a system.

        :param model: of the engine; by default its own.
        :raises ModelError: the memory or the model cannot be loaded.
        """
        named = {} if model is None else {"model": model}
        generator = load_generator(system.engine, device=device, **system.options, **named)
        return cls(system, generator, load_memory(system.memory, device=device))

    def world(self, estimator: PointMapEstimator) -> World:
        """Return an empty world of this system."""
        return build_world(self.system.method, self.generator, estimator, self.empty.empty_copy())

    @property
    def parameters(self) -> int:
        """Of the network that draws, 0 if there is none."""
        pipeline = getattr(self.generator, "pipeline", None)
        return sum(p.numel() for network in _networks(pipeline) for p in network.parameters())


def _networks(pipeline: object) -> Iterator[torch.nn.Module]:
    for name in ("transformer", "unet"):
        network = getattr(pipeline, name, None)
        if isinstance(network, torch.nn.Module):
            yield network
