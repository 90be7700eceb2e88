"""Many worlds on a Ray cluster, and the generators that draw for them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from vmem_ros.errors import ParameterError
from vmem_ros.fleet.cluster import cluster_cpus, import_ray
from vmem_ros.fleet.generator_actor import DrawingFigures, GeneratorActor
from vmem_ros.fleet.remote_generator import NAMESPACE
from vmem_ros.fleet.world_actor import WorldActor, on_the_cpu
from vmem_ros.fleet.world_setup import WorldSetup
from vmem_ros.types import Target, View

# What is lost starts anew as often as it takes, and what was asked of it is asked again.
_RECOVERS = {"max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": "SPREAD"}


class FleetWorld:
    """One world of a fleet. Each verb returns at once; ``ray.get`` of what it returns waits for the answer.

    Requests are done in the order in which they were made.

    :param actor: handle of a :class:`~vmem_ros.fleet.world_actor.WorldActor`.
    """

    def __init__(self, actor: Any) -> None:
        self._actor = actor
        self._number, self.start = import_ray().get(actor.begin.remote())

    #: Camera and pose where the world began.
    start: Target

    def explore(self, targets: Sequence[Target], *, prompt: str | None = None, seed: int | None = None) -> Any:
        """Ask for views: a reference to an :data:`~vmem_ros.fleet.observations.Observation` per target.

        :param prompt: see :meth:`vmem_ros.world.World.explore`.
        :param seed: ``None`` draws one, so that a repeated request draws the same.
        """
        seed = secrets.randbelow(2**31) if seed is None else seed
        return self._actor.explore.remote(self._next(), tuple(targets), prompt=prompt, seed=seed)

    def observe(self, view: View, *, mask: Tensor | None = None) -> Any:
        """Put a real camera frame into the memory; a reference to ``None``."""
        return self._actor.observe.remote(self._next(), view, mask=mask)

    def undo(self, n: int = 1) -> Any:
        """Forget the last ``n`` commits; a reference to ``None``."""
        return self._actor.undo.remote(self._next(), n)

    def glimpse(self, target: Target) -> Any:
        """Ask what memory alone shows at a pose: a reference to an observation."""
        return self._actor.glimpse.remote(self._number, target)

    def save(self, path: Path) -> Any:
        """Write the world to a file on its node: a reference to the size in bytes."""
        return self._actor.save.remote(self._number, path)

    def _next(self) -> int:
        self._number += 1
        return self._number


class Fleet:
    """Worlds on the cluster that this process is connected to (:func:`~vmem_ros.fleet.cluster.connect`).

    The worlds of a folder go on where they were left. A context manager that gives the actors up.

    :param setup: of all worlds. With generators of the fleet, its device is theirs, and worlds remember on the CPU.
    :param worlds: how many; world i begins with seed ``seed + i``.
    :param folder: for checkpoints, on storage that all nodes share; each world has a folder in it.
    :param generators: how many draw for all of them, each on a device of its own; 0: each world has its own.
    :param max_batch: chunks of different worlds that a generator draws together at most.
    :param threads: CPUs that Ray counts for each generator; torch uses as many threads.
    :param cpus_per_world: that Ray counts.
    :param name: generator i is the actor ``<name>-<i>``, for environments in other processes too; ``None``: a name that
        no other fleet has.
    :raises ParameterError: a number out of range, or more CPUs than the cluster has: Ray would wait for ever.
    :raises VmemError: a model or a file cannot be used.
    """

    def __init__(
        self,
        setup: WorldSetup,
        *,
        worlds: int,
        folder: Path,
        seed: int = 0,
        generators: int = 1,
        max_batch: int = 8,
        threads: int = 1,
        cpus_per_world: float = 1.0,
        name: str | None = None,
    ) -> None:
        for what, value, least in (
            ("worlds", worlds, 1),
            ("generators", generators, 0),
            ("max_batch", max_batch, 1),
            ("threads", threads, 1),
        ):
            if value < least:
                raise ParameterError(f"{what} must be at least {least}, got {value}")
        self._ray = ray = import_ray()
        _check_room(generators * threads + worlds * cpus_per_world)
        gpus = 1 if setup.device.startswith("cuda") else 0
        names = [f"{name or secrets.token_hex(8)}-{i}" for i in range(generators)]
        options = {**_RECOVERS, "num_cpus": threads, "num_gpus": gpus, "namespace": NAMESPACE}
        self._generators = [
            ray.remote(GeneratorActor)
            .options(name=each, **options)
            .remote(setup.engine, device=setup.device, options=setup.engine_options, max_batch=max_batch)
            for each in names
        ]
        own = setup if not generators else on_the_cpu(setup)
        world = ray.remote(WorldActor).options(**_RECOVERS, num_cpus=cpus_per_world, num_gpus=0 if generators else gpus)
        self._actors = [
            world.remote(
                own,
                folder.absolute() / f"world-{i:05d}",
                seed=seed + i,
                generator=names[i % generators] if generators else None,
            )
            for i in range(worlds)
        ]
        try:
            #: The worlds, each begun.
            self.worlds = tuple(FleetWorld(actor) for actor in self._actors)
        except BaseException:
            self.close()
            raise

    def drawing_figures(self) -> list[DrawingFigures]:
        """Return what each generator has done since it was started."""
        found: list[DrawingFigures] = self._ray.get([each.figures.remote() for each in self._generators])
        return found

    def close(self) -> None:
        """End the actors; what they have committed is in the folder."""
        for actor in (*self._actors, *self._generators):
            self._ray.kill(actor)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_room(cpus: float) -> None:
    there = cluster_cpus()
    if cpus > there:
        raise ParameterError(
            f"the fleet takes {cpus:g} CPUs and the cluster has {there}: ask for fewer worlds, lower cpus_per_world or "
            "threads, or say more CPUs where the cluster is started (connect(cpus=...)): Ray only counts them"
        )
