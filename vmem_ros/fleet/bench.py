"""What many worlds cost: one environment, fleets of some sizes, and a fleet that loses one of two nodes."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import gymnasium
import numpy as np

from vmem_ros.benchmarking.timing import Timing
from vmem_ros.fleet import ENVIRONMENT
from vmem_ros.fleet.cluster import import_ray
from vmem_ros.fleet.fleet import Fleet
from vmem_ros.fleet.generator_actor import DrawingFigures
from vmem_ros.fleet.local_cluster import two_nodes
from vmem_ros.fleet.observations import Observation
from vmem_ros.fleet.world_setup import WorldSetup
from vmem_ros.reporting.tables import Table, Value
from vmem_ros.scenes.headings import turn_about_vertical
from vmem_ros.types import Target

_TURN_RAD = math.pi / 9
# Ray counts this for a world: it waits for its generator most of the time.
_CPUS_PER_WORLD = 0.25


@dataclass(frozen=True, eq=False)
class Measured:
    """How fast views came, one asked for at a time in each world.

    :param views: that were drawn.
    :param seconds: from the first question to the last answer.
    :param latency: of each answer.
    :param batch: mean number of requests that were drawn together.
    """

    where: str
    worlds: int
    views: int
    seconds: float
    latency: Timing
    batch: float

    def row(self) -> dict[str, Value]:
        """Return the row of a table."""
        return {
            "where": self.where,
            "worlds": self.worlds,
            "views": self.views,
            "views a second": self.views / self.seconds,
            "requests a batch": self.batch,
            "median ms": self.latency.median_ms,
            "90 % ms": self.latency.p90_ms,
        }


def cpus_for(worlds: int, *, threads: int) -> int:
    """Return how many CPUs Ray counts for a fleet with one generator of so many threads."""
    return threads + math.ceil(worlds * _CPUS_PER_WORLD)


def measure_environment(setup: WorldSetup, *, steps: int) -> Measured:
    """Return how fast one environment steps in this process, as ``gymnasium.make`` gives it."""
    fields = {field.name: getattr(setup, field.name) for field in dataclasses.fields(setup)}
    env = gymnasium.make(ENVIRONMENT, turn_rad=_TURN_RAD, max_episode_steps=steps + 1, **fields)
    turn = np.array([0, 0, _TURN_RAD], np.float32).clip(env.action_space.low, env.action_space.high)  # type: ignore[attr-defined]
    env.reset(seed=0)
    env.step(turn)
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        env.step(turn)
        seconds.append(time.perf_counter() - began)
    env.close()
    return Measured("gymnasium.make, this process", 1, steps, sum(seconds), Timing(tuple(seconds)), 1.0)


def measure_fleet(
    fleet: Fleet, *, requests: int, where: str, half_way: Callable[[], None] | None = None
) -> tuple[Measured, list[list[Observation]]]:
    """Return how fast a fleet answers, and what each world answered: each asks again as soon as it has its answer.

    :param requests: of each world, of one view.
    :param half_way: called once half of all answers are there.
    """
    ray = import_ray()
    ray.get([world.explore(_turned(world.start, 0), seed=0) for world in fleet.worlds])
    before = fleet.drawing_figures()
    answers: list[list[Observation]] = [[] for _ in fleet.worlds]
    seconds: list[float] = []
    waiting: dict[object, tuple[int, float]] = {}

    def ask(index: int) -> None:
        world, number = fleet.worlds[index], len(answers[index]) + 1
        waiting[world.explore(_turned(world.start, number), seed=number)] = index, time.perf_counter()

    began = time.perf_counter()
    for index in range(len(fleet.worlds)):
        ask(index)
    while waiting:
        (done,), _ = ray.wait(list(waiting), num_returns=1)
        index, asked = waiting.pop(done)
        answers[index] += ray.get(done)
        seconds.append(time.perf_counter() - asked)
        if len(answers[index]) < requests:
            ask(index)
        if half_way is not None and 2 * len(seconds) >= requests * len(fleet.worlds):
            half_way()
            half_way = None
    took = time.perf_counter() - began
    batch = _requests_per_batch(before, fleet.drawing_figures())
    return Measured(where, len(fleet.worlds), len(seconds), took, Timing(tuple(seconds)), batch), answers


def measure_sizes(
    setup: WorldSetup, sizes: Sequence[int], *, requests: int, folder: Path, max_batch: int, threads: int
) -> list[Measured]:
    """Return how fast fleets of some sizes answer, each with one generator, on the cluster that is connected."""
    found = []
    for worlds in sizes:
        with Fleet(
            setup,
            worlds=worlds,
            folder=folder / f"{worlds}",
            max_batch=max_batch,
            threads=threads,
            cpus_per_world=_CPUS_PER_WORLD,
        ) as fleet:
            found.append(measure_fleet(fleet, requests=requests, where="Ray, one generator")[0])
    return found


@dataclass(frozen=True, eq=False)
class Loss:
    """A fleet on two nodes, undisturbed and with one of them killed half-way.

    :param calm: undisturbed.
    :param lossy: with a node killed.
    :param pixel_difference: the largest between the answers of both, of 255.
    :param depth_difference_m: the largest, in metres.
    """

    calm: Measured
    lossy: Measured
    asked: int
    pixel_difference: int
    depth_difference_m: float

    def row(self) -> dict[str, Value]:
        """Return the row of a table."""
        return {
            "worlds": self.calm.worlds,
            "asked": self.asked,
            "answered": self.lossy.views,
            "largest difference of a pixel": self.pixel_difference,
            "of depth, m": self.depth_difference_m,
            "seconds": self.calm.seconds,
            "with the loss": self.lossy.seconds,
        }


def measure_loss(setup: WorldSetup, *, worlds: int, requests: int, folder: Path, max_batch: int, threads: int) -> Loss:
    """Return what the loss of one of two nodes on this machine does to a fleet, its generator included or not.

    Answers are equal bit by bit where the engine draws the same whoever is in a batch (``max_batch`` 1 sees to that),
    else up to rounding.
    """
    measured, answers = [], []
    with two_nodes(cpus=cpus_for(worlds, threads=threads)) as lose_node:
        for where, half_way in (("two nodes", None), ("two nodes, one killed half-way", lose_node)):
            with Fleet(
                setup,
                worlds=worlds,
                folder=folder / where.replace(" ", "_"),
                max_batch=max_batch,
                threads=threads,
                cpus_per_world=_CPUS_PER_WORLD,
            ) as fleet:
                found, seen = measure_fleet(fleet, requests=requests, where=where, half_way=half_way)
            measured.append(found)
            answers.append([observation for of_world in seen for observation in of_world])
    pairs = list(zip(*answers, strict=True))
    pixels = max(int(np.abs(a["image"].astype(int) - b["image"]).max()) for a, b in pairs)
    depth_m = max(float(np.abs(a["depth"] - b["depth"]).max()) for a, b in pairs)
    return Loss(measured[0], measured[1], worlds * requests, pixels, depth_m)


def tables(measured: Sequence[Measured], loss: Loss | None) -> list[Table]:
    """Return the tables of what was measured."""
    runs = [*measured, *([loss.calm, loss.lossy] if loss else [])]
    note = (
        "Each world asks for one view at a time, and for the next one once it has it. A checkpoint follows each on Ray."
    )
    found = [Table("Many worlds", [run.row() for run in runs], note)]
    if loss:
        found.append(Table("A node lost half-way", [loss.row()], "Differences are to the same fleet undisturbed."))
    return found


def _turned(start: Target, number: int) -> list[Target]:
    """Return the target of a request: on the spot, turned on."""
    return [Target(start.camera, turn_about_vertical(start.T_world_camera, _TURN_RAD * (number + 1)))]


def _requests_per_batch(before: Sequence[DrawingFigures], after: Sequence[DrawingFigures]) -> float:
    """Return the mean number of requests of a batch between two moments; a generator that was lost counts from zero."""
    requests = batches = 0
    for old, new in zip(before, after, strict=True):
        grown = new.batches.total() >= old.batches.total()
        sizes = new.batches - old.batches if grown else new.batches
        requests += sum(size * count for size, count in sizes.items())
        batches += sizes.total()
    return requests / batches if batches else math.nan
