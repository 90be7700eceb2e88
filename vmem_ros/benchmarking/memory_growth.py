"""Cost of a step against the number of steps taken: the promise is that it does not grow.

Two robots: one walks through ever new rooms, so that the world grows; one stays in the same four rooms, so that ever
more views show the same surfels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from tqdm import tqdm

from vmem_ros.benchmarking.building import Building
from vmem_ros.benchmarking.growth_plot import Curve, draw_curves
from vmem_ros.benchmarking.memory_filler import MemoryFiller, Written, size_of
from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures, Row, Settings, median_ms
from vmem_ros.benchmarking.timing import Case, Timing, measure_in_turn
from vmem_ros.geometry import Camera
from vmem_ros.protocols import Memory
from vmem_ros.types import Target
from vmem_ros.world import World, default_world

_FOV_DEG = 75
_CHUNK = 4
_REFERENCES = 4
_HOUSE_ROOMS = 4
_OPERATIONS = ("read", "write", "glimpse", "step")


def run(settings: Settings) -> BenchmarkResult:
    """Take both walks and stop at every number of views to measure."""
    stops = settings.pick(quick=[2, 4], normal=[10, 30, 100, 300, 1000], full=[10, 30, 100, 300, 1000, 3000, 10_000])
    camera = Camera.from_fov(*settings.pick(quick=(128, 72), normal=(256, 144)), _FOV_DEG)
    repeats = settings.pick(quick=2, normal=12)
    walks = {
        "new rooms": _walk(settings, Building(), camera, stops, repeats + 1, "new rooms"),
        "same house": _walk(settings, Building(rooms=_HOUSE_ROOMS), camera, stops, repeats + 1, "same house"),
    }
    size = f"{camera.width} x {camera.height}"
    note = (
        f"Median / 90th percentile in ms of {repeats} calls at places spread over all that is remembered; views and "
        f"targets {size}. read: K = 4 views and {_CHUNK} projections. write: one view. glimpse: one projection. step: "
        f"World.explore over {_CHUNK} new poses (read, reprojection, depth, write), the whole chunk. index: all but "
        "the pictures."
    )
    tables = [Figures(f"Growth with history, {name}", rows, note) for name, rows in walks.items()]
    ratios = {name: _growth(rows) for name, rows in walks.items()}
    growth = Figures(
        f"Growth from {stops[0]:,} to {stops[-1]:,} views",
        [{"walk": name, **ratio} for name, ratio in ratios.items()],
        "Median at the last stop over median at the first; the stops took turns, call by call. 1 is flat.",
    )
    budgets = [
        Budget(f"growth of a step from {stops[0]:,} to {stops[-1]:,} views, {name}", 1.5, ratio["step"], "times")
        for name, ratio in ratios.items()
    ]
    panels = {name: [_curve(rows, operation) for operation in _OPERATIONS] for name, rows in walks.items()}
    draw = partial(
        draw_curves, panels, x_label="views in memory", y_label="milliseconds", title=f"Cost of a step, {size} views"
    )
    return BenchmarkResult([*tables, growth], budgets, {"history.png": draw})


@dataclass(frozen=True)
class _Stop:
    """The world after so many views, with what is asked of it there."""

    world: World
    memory: Memory
    chunks: list[list[Target]]
    written: list[Written]

    @classmethod
    def of(cls, filler: MemoryFiller[Memory], n: int) -> _Stop:
        """Copy the filled memory as it is now (its pictures are shared) with ``n`` inputs of each kind."""
        # A pose asked for twice is generated twice: reuse would cost nothing and say nothing.
        memory = filler.memory.empty_copy()
        memory.restore(*filler.memory.state())
        world = default_world(memory=memory, reuse_views=False)
        return cls(world, memory, list(filler.asks(n, chunk=_CHUNK)), list(filler.known_views(n)))

    def read(self, targets: Sequence[Target]) -> None:
        """Ask for what matters to one chunk."""
        self.memory.read(targets, _REFERENCES)

    def step(self, targets: Sequence[Target]) -> None:
        """Read, draw and write one chunk."""
        for _ in self.world.explore(targets, seed=0):
            pass

    def glimpse(self, targets: Sequence[Target]) -> None:
        """Show the first target."""
        self.memory.project(targets[0])

    def write(self, written: Written) -> None:
        """Write one view."""
        self.memory.write(*written)


def _walk(settings: Settings, building: Building, camera: Camera, views: Sequence[int], n: int, name: str) -> list[Row]:
    """Return a row for each number of views; the stops take turns, call by call."""
    filler = MemoryFiller(building, camera, settings.new_memory())
    stops = []
    for number in tqdm(views, desc=f"{name}: walking", unit="stop"):
        filler.grow(views=number)
        stops.append(_Stop.of(filler, n))
    timings: dict[str, list[Timing]] = {}
    with tqdm(total=len(_OPERATIONS), desc=f"{name}: measuring", unit="operation") as bar:
        timings["read"] = measure_in_turn([Case(s.read, s.chunks) for s in stops])
        bar.update()
        timings["write"] = measure_in_turn([Case(s.write, s.written, s.memory.undo) for s in stops])
        bar.update()
        timings["glimpse"] = measure_in_turn([Case(s.glimpse, s.chunks) for s in stops])
        bar.update()
        timings["step"] = measure_in_turn([Case(s.step, s.chunks, s.world.undo) for s in stops])
        bar.update()
    return [
        {**size_of(stop.memory), **{operation: timings[operation][i] for operation in _OPERATIONS}}
        for i, stop in enumerate(stops)
    ]


def _growth(rows: Sequence[Row]) -> dict[str, float]:
    """Return for each operation its median at the last stop over that at the first."""
    return {operation: median_ms(rows[-1], operation) / median_ms(rows[0], operation) for operation in _OPERATIONS}


def _curve(rows: Sequence[Row], operation: str) -> Curve:
    timings = [t for row in rows if isinstance(t := row[operation], Timing)]
    return Curve(
        label=operation,
        x=[n for row in rows if isinstance(n := row["views"], int)],
        y=[t.median_ms for t in timings],
        high=[t.p90_ms for t in timings],
    )
