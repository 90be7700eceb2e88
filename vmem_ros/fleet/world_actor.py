"""A world as a Ray actor: each request that may change it is numbered, and followed by a checkpoint.

When the process or the machine is lost, Ray starts the actor anew elsewhere and repeats the request that was not
answered. The new actor finds the checkpoint before that request in the folder that all nodes share, so the request is
done once, whether its checkpoint had been written or not.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.files import write_text
from vmem_ros.fleet.observations import Observation, as_observation
from vmem_ros.fleet.remote_generator import generator_of
from vmem_ros.fleet.sources import WorldSource
from vmem_ros.fleet.world_setup import WorldSetup
from vmem_ros.types import Target, View
from vmem_ros.world import World

T = TypeVar("T")

_SUFFIX, _START = ".world", "start.json"


class WorldActor:
    """One world and its checkpoints.

    :param setup: of the world.
    :param folder: of this world's checkpoints; the newest one in it is gone on from.
    :param seed: of where it begins.
    :param generator: name of a :class:`~vmem_ros.fleet.generator_actor.GeneratorActor`; ``None``: one of its own. Not a
        handle, which may be lost with the node that made it.
    """

    def __init__(self, setup: WorldSetup, folder: Path, *, seed: int, generator: str | None = None) -> None:
        self._setup = setup
        self._generator = generator
        self._folder = folder
        self._seed = seed
        self._world: World | None = None
        # Of the last request that is in the world.
        self._number = -1

    @functools.cached_property
    def _source(self) -> WorldSource:
        """Opened by the first request, whose answer an error is then: an actor that cannot be made has no words."""
        drawer = self._setup.load_generator() if self._generator is None else generator_of(self._generator)
        return self._setup.open_source(drawer)

    def begin(self) -> tuple[int, Target]:
        """Begin the world, or go on with it; return the number of its last request, and where it began."""
        if self._world is None:
            written = [int(path.stem) for path in self._folder.glob(f"*{_SUFFIX}")]
            self._load(max(written)) if written else self._begin_anew()
        pose = json.loads((self._folder / _START).read_text(encoding="utf-8"))["T_world_camera"]
        return self._number, Target(self._source.camera, torch.tensor(pose, dtype=torch.float64))

    def explore(self, number: int, targets: Sequence[Target], *, prompt: str | None, seed: int) -> list[Observation]:
        """Return what is seen at targets; see :meth:`vmem_ros.world.World.explore`.

        :param number: of the request: one more than that of the one before.
        """

        def draw(world: World) -> list[Observation]:
            frames = world.explore(targets, prompt=prompt, seed=seed)
            return [as_observation(f.view.image, f.view.depth, f.confidence, f.view.T_world_camera) for f in frames]

        return self._change(number, draw)

    def observe(self, number: int, view: View, *, mask: Tensor | None) -> None:
        """Put a real camera frame into the memory; see :meth:`vmem_ros.world.World.observe`."""
        self._change(number, lambda world: world.observe(view, mask=mask))

    def undo(self, number: int, n: int) -> None:
        """Forget the last ``n`` commits; see :meth:`vmem_ros.world.World.undo`."""
        self._change(number, lambda world: world.undo(n))

    def glimpse(self, number: int, target: Target) -> Observation:
        """Return what memory alone shows at a pose after a request; nothing changes."""
        shown = self._at(number).glimpse(target)
        return as_observation(shown.image, shown.depth, shown.confidence, target.T_world_camera)

    def save(self, number: int, path: Path) -> int:
        """Write the world as it is after a request; see :meth:`vmem_ros.world.World.save`."""
        return self._at(number).save(path, overwrite=True, make_folder=True)

    def _change(self, number: int, change: Callable[[World], T]) -> T:
        """Do something with the world as it is after the request before, and write what it is then."""
        world = self._at(number - 1)
        try:
            return change(world)
        finally:
            # Also after an error: chunks before it are committed, and the next request comes after this one.
            self._number = number
            self._write()

    def _at(self, number: int) -> World:
        """Return the world as it is after a request."""
        if self._world is None or self._number != number:
            self._load(number)
        assert self._world is not None, "loaded"
        return self._world

    def _begin_anew(self) -> None:
        start = self._source.begin(np.random.default_rng(self._seed))
        write_text(self._folder / _START, json.dumps({"T_world_camera": start.T_world_camera.tolist()}))
        self._world, self._number = start.world, 0
        self._write()
        # From the file, as it would be after a loss: what may be a branch so far is a world like any other then.
        self._load(0)

    def _load(self, number: int) -> None:
        path = self._path(number)
        if not path.exists():
            raise WorldFileError(
                f"{path} is missing: this world is not as its fleet left it; all nodes must share the fleet's folder, "
                "and only one fleet may use it"
            )
        world = self._source.new_world()
        world.load(path)
        self._world, self._number = world, number

    def _write(self) -> None:
        assert self._world is not None, "begun"
        self._world.save(self._path(self._number), overwrite=True, make_folder=True)
        for path in self._folder.glob(f"*{_SUFFIX}"):
            # The one before is kept for a request that is repeated.
            if int(path.stem) < self._number - 1:
                path.unlink(missing_ok=True)

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08d}{_SUFFIX}"


def on_the_cpu(setup: WorldSetup) -> WorldSetup:
    """Return a setup whose worlds remember on the CPU, because their generator has the other device."""
    return dataclasses.replace(setup, device="cpu")
