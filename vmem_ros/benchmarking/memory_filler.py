"""Memories of any size, filled as a robot fills them: view by view, through :meth:`SurfelMemory.write`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tqdm import tqdm

from vmem_ros.benchmarking.building import VIEWS_PER_ROOM, Building
from vmem_ros.benchmarking.result import Row
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import SensorDepth
from vmem_ros.types import PointMap, Target, View

#: What :meth:`SurfelMemory.write` takes: views and their geometry.
Written = tuple[Sequence[View], Sequence[PointMap]]


class MemoryFiller:
    """Walks through a building and writes what it sees into a memory.

    :param memory: empty; others may read it, and write and undo, in between.
    """

    def __init__(self, building: Building, camera: Camera, memory: SurfelMemory) -> None:
        self.building, self.camera, self.memory = building, camera, memory
        self._walk = building.walk(camera)
        self._sensor = SensorDepth()

    def grow(self, *, surfels: int = 0, views: int = 0) -> None:
        """Go on until the memory holds at least so many surfels and so many views."""
        unit, goal = ("surfel", surfels) if surfels else ("view", views)
        with tqdm(total=goal, initial=self._size(unit), unit=unit, desc="filling", leave=False) as bar:
            while self.memory.n_surfels < surfels or len(self.memory) < views:
                self.memory.write(*self.look(next(self._walk)))
                bar.update(min(goal, self._size(unit)) - bar.n)

    def look(self, target: Target) -> Written:
        """Return what :meth:`SurfelMemory.write` needs to remember the view at a target."""
        view = self.building.view(target)
        return [view], self._sensor.estimate([view])

    def asks(self, n: int, *, chunk: int = 1) -> Iterator[list[Target]]:
        """Yield ``n`` lists of ``chunk`` neighbouring targets, spread evenly over all places that are remembered."""
        for i in range(n):
            first = i * max(1, len(self.memory) - chunk) // n
            yield [self.building.ask(self.camera, first + j) for j in range(chunk)]

    def known_views(self, n: int) -> Iterator[Written]:
        """Yield views from new poses in places that are remembered: most of their surfels merge."""
        return (self.look(targets[0]) for targets in self.asks(n))

    def new_views(self, n: int) -> Iterator[Written]:
        """Yield views of ``n`` rooms that the walk has not reached: all of their surfels are new."""
        room = -(-len(self.memory) // VIEWS_PER_ROOM)
        return (self.look(next(self.building.walk(self.camera, start=(room + i) * VIEWS_PER_ROOM))) for i in range(n))

    def _size(self, unit: str) -> int:
        return self.memory.n_surfels if unit == "surfel" else len(self.memory)


def size_of(memory: SurfelMemory) -> Row:
    """Return what a memory holds, as the first columns of a table."""
    pictures = sum(t.nbytes for v in memory.views for t in (v.image, v.depth, v.confidence) if t is not None)
    return {
        "surfels": memory.n_surfels,
        "views": len(memory),
        "index MB": (memory.nbytes - pictures) / 1e6,
        "pictures MB": pictures / 1e6,
    }
