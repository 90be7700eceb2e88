"""What the diffusion generator costs, with random weights, and what each of its savings is worth.

On a CPU a small model, as one trains it oneself; on a GPU with room for it also the published size, in bfloat16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from tqdm import tqdm

from vmem_ros.benchmarking import generator_notes as notes
from vmem_ros.benchmarking.generator_chunk import INTERVAL, RECIPES, Recipe, chunk_figures
from vmem_ros.benchmarking.generator_device import work_dtype
from vmem_ros.benchmarking.generator_models import FULL, SMALL, TINY, Size, build_image_encoder
from vmem_ros.benchmarking.generator_network import profile_figures, saving_figures, stage_figures, stages
from vmem_ros.benchmarking.generator_workload import Workload
from vmem_ros.benchmarking.generator_world import world_figures
from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures, Row, Settings

# Bytes of GPU memory that the published size takes here: three networks, one of them in 32 bits.
_ROOM_FOR_FULL = 22e9
# Seconds per frame, memory included, that the design allows on a card of the H200's class at the published size.
_GOALS_S = {Recipe("published", 50): 0.70, Recipe("fast", 15): 0.22, Recipe("fast", 8, interval=INTERVAL): 0.10}
# Share of the matrix rate that the design asks of the compiled network.
_RATE_GOAL = 0.6


@dataclass(frozen=True, kw_only=True)
class _Effort:
    """How much is measured.

    :param evaluations: repeats of an evaluation of the network.
    :param chunks: repeats of a chunk.
    :param recipes: ways to sample a chunk.
    :param goals: ways to take a step of the world, with the seconds per frame allowed.
    """

    evaluations: int
    chunks: int
    recipes: Sequence[Recipe]
    goals: Mapping[Recipe, float]
    compiled: bool


def run(settings: Settings) -> BenchmarkResult:
    """Measure every size that the device has room for."""
    gpu, quick = torch.device(settings.device).type == "cuda", settings.effort == "quick"
    effort = _Effort(
        evaluations=settings.pick(quick=1, normal=20 if gpu else 10),
        chunks=settings.pick(quick=1, normal=3 if gpu else 1),
        recipes=[replace(r, steps=3) for r in (RECIPES[0], RECIPES[2], RECIPES[-1])] if quick else RECIPES,
        goals={Recipe("fast", 2): 1.0} if quick else _GOALS_S,
        # For a CPU the compiler takes minutes.
        compiled=(gpu and not quick) or settings.effort == "full",
    )
    sizes = [TINY if quick else SMALL]
    if gpu and not quick and torch.cuda.mem_get_info(settings.device)[0] > _ROOM_FOR_FULL:
        sizes.append(FULL)
    tables: list[Figures] = []
    budgets: list[Budget] = []
    for size in tqdm(sizes, desc="generator", unit="size"):
        found, goals = _measured(size, settings.device, effort)
        tables += found
        budgets += goals if size is FULL else []
    return BenchmarkResult(tables, budgets)


def _measured(size: Size, device: str, effort: _Effort) -> tuple[list[Figures], list[Budget]]:
    plain = Workload.of(size, device=device, dtype=work_dtype(device))
    meta = Workload.of(size, device="meta", dtype=torch.float32)
    encoder = build_image_encoder(size, device=device, dtype=work_dtype(device))
    ladder = stages(plain, compiled=effort.compiled)
    last = ladder[-1]
    network = stage_figures(ladder, meta, repeats=effort.evaluations)
    savings = saving_figures(plain, meta, repeats=effort.evaluations)
    kinds = profile_figures(ladder)
    chunks = chunk_figures(plain, last.workload, encoder, meta, repeats=effort.chunks, recipes=effort.recipes)
    steps = world_figures(last.workload, encoder, [*effort.goals], repeats=effort.chunks)
    title = f"Generator, {size.side} x {size.side}"
    tables = [
        Figures(f"{title}: one evaluation of the network", network, notes.network(plain, effort.evaluations)),
        Figures(f"{title}: exact savings", savings, notes.savings(plain)),
        Figures(f"{title}: where the time goes", kinds, notes.profiled(last)),
        Figures(f"{title}: a chunk", chunks, notes.chunk(size, last, effort.chunks)),
        Figures(f"{title}: a step of the world", steps, notes.world(size)),
    ]
    return tables, [_rate_budget(size, network[len(ladder) - 1]), *_budgets(size, effort.goals, steps)]


def _rate_budget(size: Size, fastest: Row) -> Budget:
    share = fastest["% of matrix rate"]
    assert isinstance(share, float)
    what = f"network at {size.side} x {size.side}, time over that of its operations at the matrix rate"
    return Budget(what, 1 / _RATE_GOAL, 100 / share, "times")


def _budgets(size: Size, goals: Mapping[Recipe, float], steps: Sequence[Row]) -> list[Budget]:
    """Return what a frame may take and takes; ``steps`` in the order of ``goals``."""
    budgets = []
    for (recipe, limit), row in zip(goals.items(), steps, strict=True):
        seconds = row["s per frame"]
        assert isinstance(seconds, float)
        budgets.append(Budget(f"a frame of {size.side} x {size.side} with memory, {recipe.name}", limit, seconds, "s"))
    return budgets
