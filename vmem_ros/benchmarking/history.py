"""Cost of a step against the number of steps taken: the promise is that it does not grow.

Two robots: one walks through ever new rooms, so that the world grows; one stays in the same four rooms, so that ever
more views show the same surfels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from tqdm import tqdm

from vmem_ros.benchmarking.building import Building
from vmem_ros.benchmarking.outcome import Budget, Figures, Outcome, Row, Settings, median_ms
from vmem_ros.benchmarking.plots import Curve, draw_curves
from vmem_ros.benchmarking.survey import Survey
from vmem_ros.benchmarking.timing import Timing, measure
from vmem_ros.geometry import Camera
from vmem_ros.memory import SurfelMemory
from vmem_ros.types import Target
from vmem_ros.world import World, default_world

_FOV_DEG = 75
_CHUNK = 4
_HOUSE_ROOMS = 4
_OPERATIONS = ("read", "write", "glimpse", "step")


def run(settings: Settings) -> Outcome:
    """Take both walks and stop at every number of views to measure."""
    stops = settings.pick(quick=[2, 4], normal=[10, 30, 100, 300, 1000], full=[10, 30, 100, 300, 1000, 3000, 10_000])
    camera = Camera.from_fov(*settings.pick(quick=(128, 72), normal=(256, 144)), _FOV_DEG)
    repeats = settings.pick(quick=2, normal=12)
    walks = {
        "new rooms": [*_walk(settings, Building(), camera, stops, repeats, "new rooms")],
        "same house": [*_walk(settings, Building(rooms=_HOUSE_ROOMS), camera, stops, repeats, "same house")],
    }
    size = f"{camera.width} x {camera.height}"
    note = (
        f"Median / 90th percentile in ms of {repeats} calls at places spread over all that is remembered; views and "
        f"targets {size}. read: K = 4 views and {_CHUNK} projections. write: one view. glimpse: one projection. step: "
        f"World.explore over {_CHUNK} new poses (read, reprojection, depth, write), the whole chunk. index: surfels, "
        "voxel hash and observations."
    )
    tables = [Figures(f"Growth with history, {name}", rows, note) for name, rows in walks.items()]
    ratios = {name: _growth(rows) for name, rows in walks.items()}
    growth = Figures(
        f"Growth from {stops[0]:,} to {stops[-1]:,} views",
        [{"walk": name, **ratio} for name, ratio in ratios.items()],
        "Median at the last stop over median at the first, in the same run; 1 is flat.",
    )
    budgets = [
        Budget(f"growth of a step from {stops[0]:,} to {stops[-1]:,} views, {name}", 1.5, ratio["step"], "times")
        for name, ratio in ratios.items()
    ]
    panels = {name: [_curve(rows, operation) for operation in _OPERATIONS] for name, rows in walks.items()}
    draw = partial(
        draw_curves, panels, x_label="views in memory", y_label="milliseconds", title=f"Cost of a step, {size} views"
    )
    return Outcome([*tables, growth], budgets, {"history.png": draw})


def _walk(
    settings: Settings, building: Building, camera: Camera, stops: Sequence[int], repeats: int, name: str
) -> Iterator[Row]:
    # A pose asked for twice is generated twice: reuse would cost nothing and say nothing.
    world = default_world(device=settings.device, reuse_views=False)
    memory = world.memory
    assert isinstance(memory, SurfelMemory), "the default world remembers surfels"
    survey = Survey(building, camera, memory)
    for views in tqdm(stops, desc=name, unit="stop"):
        survey.grow(views=views)
        yield _measured(survey, world, memory, repeats + 1)


def _measured(survey: Survey, world: World, memory: SurfelMemory, n: int) -> Row:
    def step(targets: Sequence[Target]) -> None:
        for _ in world.explore(targets, seed=0):
            pass

    pictures = sum(t.nbytes for v in memory.views for t in (v.image, v.depth, v.confidence) if t is not None)
    return {
        "views": len(memory),
        "surfels": memory.n_surfels,
        "index MB": (memory.nbytes - pictures) / 1e6,
        "pictures MB": pictures / 1e6,
        "read": measure(memory.read, survey.asks(n, chunk=_CHUNK)),
        "write": measure(lambda w: memory.write(*w), survey.known_views(n), afterwards=memory.undo),
        "glimpse": measure(lambda targets: memory.project(targets[0]), survey.asks(n)),
        "step": measure(step, survey.asks(n, chunk=_CHUNK), afterwards=lambda: world.undo(_CHUNK)),
    }


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
