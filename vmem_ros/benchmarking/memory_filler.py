"""Memories of any kind and size, filled as a robot fills them: view by view, through ``write``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

from tqdm import tqdm

from vmem_ros.benchmarking.building import VIEWS_PER_ROOM, Building
from vmem_ros.benchmarking.result import Row
from vmem_ros.geometry import Camera
from vmem_ros.pointmaps import SensorDepth
from vmem_ros.protocols import Memory
from vmem_ros.types import PointMap, Target, View

M = TypeVar("M", bound=Memory)

#: What :meth:`~vmem_ros.protocols.Memory.write` takes: views and their geometry.
Written = tuple[Sequence[View], Sequence[PointMap]]


class MemoryFiller(Generic[M]):
    """Walks through a building and writes what it sees into a memory.

    :param memory: empty; others may read it, and write and undo, in between.
    """

    def __init__(self, building: Building, camera: Camera, memory: M) -> None:
        self.building, self.camera, self.memory = building, camera, memory
        self._walk = building.walk(camera)
        self._sensor = SensorDepth()

    def grow(self, **least: int) -> None:
        """Go on until the memory holds at least so many ``views``, or of one of its figures, such as ``surfels``."""
        [(unit, goal)] = least.items()
        with tqdm(total=goal, initial=self._count(unit), unit=unit, desc="filling", leave=False) as bar:
            while self._count(unit) < goal:
                self.memory.write(*self.look(next(self._walk)))
                bar.update(min(goal, self._count(unit)) - bar.n)

    def look(self, target: Target) -> Written:
        """Return what a memory needs to remember the view at a target."""
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

    def _count(self, unit: str) -> int:
        return len(self.memory) if unit == "views" else int(self.memory.figures()[unit])


def size_of(memory: Memory) -> Row:
    """Return what a memory holds, as the first columns of a table."""
    pictures = sum(t.nbytes for v in memory.views for t in (v.image, v.depth, v.confidence) if t is not None)
    return {
        **memory.figures(),
        "views": len(memory),
        "index MB": (memory.nbytes - pictures) / 1e6,
        "pictures MB": pictures / 1e6,
    }
