"""What a world is made of and where it begins, by name: plain values that any process can build the same world from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vmem_ros.errors import ParameterError
from vmem_ros.fleet.sources import WorldSource, open_source
from vmem_ros.generation.engines import DEFAULT_ENGINE, load_generator
from vmem_ros.memory import AUTO_MEMORY, load_memory, memory_kind
from vmem_ros.pointmaps import DEFAULT_ESTIMATOR, GeometryPrior, Scene, load_estimator
from vmem_ros.protocols import Generator
from vmem_ros.scenes.house import HOUSE_FOV_DEG
from vmem_ros.showcase.engine_options import with_scene
from vmem_ros.world import World


@dataclass(frozen=True, kw_only=True)
class WorldSetup:
    """What a world is made of, and where it begins.

    At most one of ``house``, ``world``, ``recording`` and ``photo`` is given; with none of them, each start is in
    another procedural house.

    :param house: seed of the procedural house that every start is in.
    :param world: path of a world file.
    :param recording: path of a recording, all of whose chosen frames are observed.
    :param photo: path of a photograph.
    :param source_options: of the recording those of :func:`vmem_ros.recordings.open_recording`, with ``frames`` as
        text; of the photograph ``depth``, the path of its depth, and ``fov_deg``.
    :param width: of the pictures in pixels; those of recordings and photographs are no wider than they are.
    :param height: of the pictures in a house; ``None``: three quarters of the width. Elsewhere as the camera has it.
    :param fov_deg: horizontal field of view in a house.
    :param engine: what draws, see :func:`vmem_ros.generation.engines.load_generator`; with its options.
    :param memory: see :func:`vmem_ros.memory.load_memory`, or ``auto``: what the engine was made for; with its options.
    :param estimator: of the depth of new views, see :func:`vmem_ros.pointmaps.load_estimator`; ``None``: ``memory``, or
        ``small`` where the camera measures no depth.
    :param device: of all three.
    :param reuse_views: see :class:`vmem_ros.world.World`.
    :raises ParameterError: more than one place to begin, or a size that is none.
    """

    house: int | None = None
    world: str | None = None
    recording: str | None = None
    photo: str | None = None
    source_options: Mapping[str, Any] = field(default_factory=dict)
    width: int = 128
    height: int | None = None
    fov_deg: float = HOUSE_FOV_DEG
    engine: str = DEFAULT_ENGINE
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    memory: str = AUTO_MEMORY
    memory_options: Mapping[str, Any] = field(default_factory=dict)
    estimator: str | None = None
    estimator_options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    reuse_views: bool = True

    def __post_init__(self) -> None:
        given = [name for name in ("house", "world", "recording", "photo") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ParameterError(f"a world begins in one place, got {' and '.join(given)}: leave out all but one")
        if self.width < 1 or (self.height is not None and self.height < 1):
            raise ParameterError(f"width and height must be at least 1 pixel, got {self.width} and {self.height}")
        if not (math.isfinite(self.fov_deg) and 0 < self.fov_deg < 180):
            raise ParameterError(f"fov_deg must be between 0 and 180, got {self.fov_deg:g}")

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> WorldSetup:
        """Return the setup of values by name.

        :raises ParameterError: an unknown name, or as of the class.
        """
        known = [each.name for each in fields(cls)]
        if unknown := sorted(set(options) - set(known)):
            raise ParameterError(f"a world has no option {', '.join(unknown)}: it has {', '.join(known)}")
        return cls(**options)

    def load_generator(self) -> Generator:
        """Return the generator, its model loaded.

        :raises ModelError: see :func:`vmem_ros.generation.engines.load_generator`.
        """
        return load_generator(self.engine, device=self.device, **self.engine_options)

    def open_source(self, generator: Generator) -> WorldSource:
        """Return where worlds begin.

        :param generator: draws for all of them.
        :raises VmemError: a file cannot be used; see :mod:`vmem_ros.fleet.sources`.
        """
        return open_source(self, generator)

    def new_world(self, generator: Generator, *, has_depth: bool, prior: GeometryPrior, scene: Scene) -> World:
        """Return an empty world.

        :param has_depth: whether its first views come with depth.
        :param prior: what estimator ``memory`` believes of surfaces that nobody saw, if the options do not say.
        :param scene: what estimator ``small`` takes pictures for, if the options do not say.
        :raises ModelError: the memory or the estimator cannot be loaded.
        """
        name = self.estimator or (DEFAULT_ESTIMATOR if has_depth else "small")
        options = with_scene(name, self.estimator_options, prior=prior, scene=scene)
        return World(
            load_memory(memory_kind(self.memory, [self.engine]), device=self.device, **self.memory_options),
            generator,
            load_estimator(name, device=self.device, **options),
            reuse_views=self.reuse_views,
        )
