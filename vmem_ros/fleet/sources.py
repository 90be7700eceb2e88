"""Where worlds begin: in a procedural house, a world file, a recording or a photograph.

Worlds of a house are made anew each time. The others are read once, and each start is a branch of that: it costs what
is added to it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vmem_ros.errors import NotSeededError, ParameterError
from vmem_ros.geometry import Camera
from vmem_ros.pointmaps import GeometryPrior, Scene
from vmem_ros.protocols import Generator
from vmem_ros.recordings import frames_from_text, open_recording
from vmem_ros.scenes import TRAINING_SEEDS, House
from vmem_ros.showcase.photo import read_photo
from vmem_ros.types import Target
from vmem_ros.world import World

if TYPE_CHECKING:
    from vmem_ros.fleet.world_setup import WorldSetup

# Rays a pixel and axis of a house's own pictures.
_SUPERSAMPLE = 2
# How near to things the camera of a house comes, and how far apart its way is looked at.
_CLEARANCE_M, _WAY_STEP_M = 0.1, 0.05

#: Whether a camera may go straight from one pose [4, 4] to another.
IsFree = Callable[[Tensor, Tensor], bool]


def _anywhere(T_from: Tensor, T_to: Tensor) -> bool:
    """Return true: nobody knows what is in the way."""
    return True


@dataclass(frozen=True, eq=False)
class Start:
    """A world that begins.

    :param world: it has views.
    :param T_world_camera: [4, 4] float64, where the camera is.
    :param is_free: whether it may go from pose to pose; nothing is known to be in the way but in a house.
    """

    world: World
    T_world_camera: Tensor
    is_free: IsFree = _anywhere


class WorldSource(ABC):
    """Where worlds begin. One thread owns a source and all worlds that began there."""

    #: What estimator ``memory`` believes of surfaces that nobody saw.
    prior: GeometryPrior = "none"
    #: What pictures without depth show.
    scene: Scene = "indoors"
    #: Whether the first views come with depth.
    has_depth = True
    #: The camera of all views, intrinsics and size.
    camera: Camera

    def __init__(self, setup: WorldSetup, generator: Generator) -> None:
        self._setup = setup
        self._generator = generator

    @abstractmethod
    def begin(self, rng: np.random.Generator) -> Start:
        """Return a world at its start; equal generators of numbers give equal starts."""

    def new_world(self) -> World:
        """Return an empty world of the setup."""
        return self._setup.new_world(self._generator, has_depth=self.has_depth, prior=self.prior, scene=self.scene)


class HouseSource(WorldSource):
    """One view, with exact depth, from a random free place of a house: always the same house, or a random one."""

    prior: GeometryPrior = "room"

    def __init__(self, setup: WorldSetup, generator: Generator) -> None:
        super().__init__(setup, generator)
        if setup.source_options:
            raise ParameterError(f"a house has no options, got {', '.join(sorted(setup.source_options))}: leave it out")
        height = round(setup.width * 3 / 4) if setup.height is None else setup.height
        self.camera = Camera.from_fov(setup.width, height, setup.fov_deg)
        # The light of a house takes a second: the last ones are kept.
        self._house = functools.lru_cache(maxsize=4)(House)

    def begin(self, rng: np.random.Generator) -> Start:
        """Return a world that begins at a random place; see :class:`WorldSource`."""
        chosen = int(rng.integers(TRAINING_SEEDS.start, TRAINING_SEEDS.stop))
        house = self._house(chosen if self._setup.house is None else self._setup.house)
        T_world_camera = house.random_walk(2, int(rng.integers(2**31)))[0]
        world = self.new_world()
        world.seed(house.view(Target(self.camera, T_world_camera), supersample=_SUPERSAMPLE))
        return Start(world, T_world_camera, functools.partial(_is_free, house))


def _is_free(house: House, T_from: Tensor, T_to: Tensor) -> bool:
    a, b = T_from[:3, 3], T_to[:3, 3]
    points = int(torch.linalg.vector_norm(b - a) / _WAY_STEP_M) + 2
    way = torch.lerp(a, b, torch.linspace(0, 1, points, dtype=torch.float64)[:, None])
    return bool(house.is_free(way, radius=_CLEARANCE_M).all())


class _BranchingSource(WorldSource):
    """Worlds that are branches of one that is read once, and begin at the pose of one of its views."""

    @functools.cached_property
    def _whole(self) -> World:
        world = self.new_world()
        self._fill(world)
        if not len(world):
            raise NotSeededError("the world has no view yet: save one that has been seeded")
        return world

    @abstractmethod
    def _fill(self, world: World) -> None:
        """Give an empty world its views."""

    def begin(self, rng: np.random.Generator) -> Start:
        """Return a branch at a random view; see :class:`WorldSource`."""
        views = self._whole.memory.views
        T_world_camera = views[int(rng.integers(len(views)))].T_world_camera
        return Start(self._whole.branch(), T_world_camera)


class WorldFileSource(_BranchingSource):
    """A world file, at the pose of any of its views; the camera is that of the first."""

    def __init__(self, setup: WorldSetup, generator: Generator) -> None:
        super().__init__(setup, generator)
        if setup.source_options:
            names = ", ".join(sorted(setup.source_options))
            raise ParameterError(f"a world file has no options, got {names}: leave them out")
        camera = self._whole.memory.views[0].camera
        if setup.width < camera.width:
            camera = camera.resized(setup.width, max(1, round(camera.height * setup.width / camera.width)))
        self.camera = camera

    def _fill(self, world: World) -> None:
        assert self._setup.world is not None, "open_source asks"
        world.load(self._setup.world)


class RecordingSource(_BranchingSource):
    """A recording whose frames are all observed, at the pose of any of them; the camera is that of the first."""

    def __init__(self, setup: WorldSetup, generator: Generator) -> None:
        super().__init__(setup, generator)
        options = dict(setup.source_options)
        assert setup.recording is not None, "open_source asks"
        frames = frames_from_text(options.pop("frames", ":"))
        with open_recording(setup.recording, width=setup.width, frames=frames, **options) as recording:
            self.camera = recording.targets[0].camera
            self.has_depth = recording[0].view.depth is not None
            # Closed before anything is drawn: nobody closes an environment that was never started.
            self._observed = [(frame.view, frame.mask) for frame in recording.frames()]

    def _fill(self, world: World) -> None:
        for view, mask in self._observed:
            world.observe(view, mask=mask)
        self._observed.clear()


class PhotoSource(_BranchingSource):
    """A photograph, level at the origin."""

    scene: Scene = "auto"

    def __init__(self, setup: WorldSetup, generator: Generator) -> None:
        super().__init__(setup, generator)
        options: dict[str, Any] = {"depth": None, "fov_deg": None}
        if unknown := sorted(set(setup.source_options) - set(options)):
            raise ParameterError(f"a photograph has no option {', '.join(unknown)}: it has {', '.join(options)}")
        options |= setup.source_options
        assert setup.photo is not None, "open_source asks"
        depth = None if options["depth"] is None else Path(options["depth"])
        self._photo = read_photo(Path(setup.photo), depth, fov_deg=options["fov_deg"], max_width=setup.width)
        self.camera = self._photo.camera
        self.has_depth = depth is not None

    def _fill(self, world: World) -> None:
        world.seed(self._photo)


def open_source(setup: WorldSetup, generator: Generator) -> WorldSource:
    """Return where the worlds of a setup begin.

    :raises WorldFileError: see :meth:`vmem_ros.world.World.load`.
    :raises RecordingError: see :func:`vmem_ros.recordings.open_recording`.
    :raises InvalidImageError: see :func:`vmem_ros.showcase.photo.read_photo`.
    :raises ParameterError: an option that the source does not have.
    """
    if setup.world is not None:
        return WorldFileSource(setup, generator)
    if setup.recording is not None:
        return RecordingSource(setup, generator)
    if setup.photo is not None:
        return PhotoSource(setup, generator)
    return HouseSource(setup, generator)
