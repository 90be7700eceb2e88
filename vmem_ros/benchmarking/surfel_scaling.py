"""Cost of every operation of the memory against the number of surfels, from a thousand to a million."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from vmem_ros.benchmarking.building import Building
from vmem_ros.benchmarking.busy_memory import busy_budgets, busy_note, with_busy_cores
from vmem_ros.benchmarking.memory_filler import MemoryFiller, size_of
from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures, Row, Settings, median_ms
from vmem_ros.benchmarking.timing import measure
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import Camera
from vmem_ros.kernels.library import threads
from vmem_ros.memory.surfel import Detail, SurfelMemory, SurfelMemoryOptions
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.world import World

_FOV_DEG = 75
_CHUNK = 4
# One view at the default stride already makes this many surfels; smaller memories take a wider stride.
_SURFELS_OF_A_VIEW = 5000


def run(settings: Settings) -> BenchmarkResult:
    """Grow one memory and stop at every size to measure."""
    sizes = settings.pick(quick=[1_000, 10_000], normal=[1_000, 10_000, 100_000, 200_000, 1_000_000])
    repeats = settings.pick(quick=2, normal=12)
    camera = Camera.from_fov(*settings.pick(quick=(128, 72), normal=(512, 288)), _FOV_DEG)
    coarse = [s for s in sizes if s < _SURFELS_OF_A_VIEW]
    fillers = {s: _filler(settings, camera, surfels_of_a_view=s) for s in coarse}
    fillers |= dict.fromkeys(sizes[len(coarse) :], _filler(settings, camera))
    rows: dict[int, Row] = {}
    busy: dict[int, Row] = {}
    for size, filler in tqdm(fillers.items(), desc="memory", unit="size"):
        # A coarse memory is full after one view or two; rounding of the grid may leave it a few surfels short.
        filler.grow(surfels=size if size not in coarse else 1)
        surfels = filler.memory.n_surfels
        rows[surfels] = _measured(filler, repeats)
        if settings.busy:
            busy[surfels] = {"surfels": surfels, **with_busy_cores(filler, repeats)}
    table = Figures(
        "Memory by size",
        [*rows.values()],
        f"Median / 90th percentile in ms of {repeats} calls at different places, images and targets "
        f"{camera.width} x {camera.height}. read: K = 4 views for 1 or {_CHUNK} targets, with what memory shows at "
        "each. glimpse: one projection, filled with the surfels' colours or with the pixels of stored views. write: "
        "one view of a room never seen (all surfels new) and of a known one (most merge). index: surfels, voxel hash "
        f"and observations. Threads of torch: {threads()}.",
    )
    if not settings.busy:
        return BenchmarkResult([table], _budgets(rows))
    beside = Figures("Memory by size, with the other cores busy", [*busy.values()], busy_note(repeats))
    return BenchmarkResult([table, beside], [*_budgets(rows), *busy_budgets(busy[max(busy)])])


@contextlib.contextmanager
def detail(memory: SurfelMemory, kind: Detail) -> Iterator[None]:
    """Let a memory fill projections in one way for a while."""
    before = memory.config
    memory.config = dataclasses.replace(before, detail=kind)
    try:
        yield
    finally:
        memory.config = before


def _filler(settings: Settings, camera: Camera, *, surfels_of_a_view: int | None = None) -> MemoryFiller[SurfelMemory]:
    stride = None
    if surfels_of_a_view is not None:
        stride = (camera.width * camera.height / surfels_of_a_view) ** 0.5
    memory = SurfelMemory(SurfelMemoryOptions(surfel_stride=stride), device=settings.device)
    return MemoryFiller(Building(), camera, memory)


def _measured(filler: MemoryFiller[SurfelMemory], repeats: int) -> Row:
    memory = filler.memory
    row = {**size_of(memory)}
    n = repeats + 1
    row["read 1"] = measure(memory.read, filler.asks(n))
    row[f"read {_CHUNK}"] = measure(memory.read, filler.asks(n, chunk=_CHUNK))
    for kind in get_args(Detail):
        with detail(memory, kind):
            row[f"glimpse {kind}"] = measure(lambda targets: memory.project(targets[0]), filler.asks(n))
    row["write new"] = measure(lambda w: memory.write(*w), filler.new_views(n), afterwards=memory.undo)
    row["write known"] = measure(lambda w: memory.write(*w), filler.known_views(n), afterwards=memory.undo)
    row["undo"] = measure(lambda _: memory.undo(), _after_writing(filler, n))
    return {**row, **_file_figures(memory)}


def _after_writing(filler: MemoryFiller[SurfelMemory], n: int) -> Iterator[None]:
    for views, maps in filler.known_views(n):
        filler.memory.write(views, maps)
        yield


def _file_figures(memory: SurfelMemory) -> Row:
    """Return what saving and loading cost, once each after a warm-up."""
    world, other = (
        World(m, ReprojectionGenerator(), MemoryDepth()) for m in (memory, SurfelMemory(device=memory.device))
    )
    with tempfile.TemporaryDirectory(prefix="vmem_bench_") as folder:
        path = Path(folder) / "world"
        saving = measure(lambda _: world.save(path, overwrite=True), range(2))
        loading = measure(lambda _: other.load(path), range(2))
    return {"save": saving, "load": loading}


def _budgets(rows: Mapping[int, Row]) -> list[Budget]:
    """Return what the design says about read and write at the largest size, and about glimpses at 200,000 surfels.

    :param rows: by number of surfels.
    """
    largest = max(rows)
    writes = [median_ms(rows[largest], f"write {kind}") for kind in ("new", "known")]
    return [
        Budget(f"read for one target, {largest:,} surfels", 100, median_ms(rows[largest], "read 1")),
        Budget(f"write one view, {largest:,} surfels", 40, max(writes)),
        *(
            Budget(f"glimpse ({kind}), {surfels:,} surfels", 1e3 / 30, median_ms(row, f"glimpse {kind}"))
            for surfels, row in rows.items()
            if 200_000 <= surfels < 400_000
            for kind in get_args(Detail)
        ),
    ]
