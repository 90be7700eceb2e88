"""Runs a soak: one camera node, a robot that feeds it, two planners, and subscribers that are killed."""

from __future__ import annotations

import math
import os
import random
import signal
import time
from pathlib import Path

from tqdm import tqdm

from vmem_ros.errors import VmemError
from vmem_ros.nodes.benchmarks.running_camera import start_camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.demo.run import environment
from vmem_ros.nodes.soak.place import PARAMETERS, pose_from
from vmem_ros.nodes.soak.process_figures import figures_of
from vmem_ros.nodes.soak.record import Sample, SoakRecord
from vmem_ros.nodes.tools.processes import Process, Processes
from vmem_ros.world import default_world

_PLANNERS = 2
_LIMIT_S = 120.0
_PERIOD_S = 1.0
# How long a subscriber lives, and how long until the next one comes.
_LIFE_S, _GAP_S = (2.0, 8.0), (1.0, 6.0)


class _Listeners:
    """Subscribers that come and are killed."""

    def __init__(self, processes: Processes, rng: random.Random) -> None:
        self._processes = processes
        self._rng = rng
        self._running: Process | None = None
        self._next = time.monotonic()
        self.killed = 0

    def step(self) -> None:
        """Start or kill one, if it is time."""
        if time.monotonic() < self._next:
            return
        if self._running is None:
            self._running = self._processes.start("soak.listener", [], log=True)
            self._next = time.monotonic() + self._rng.uniform(*_LIFE_S)
        else:
            self._running.popen.send_signal(signal.SIGKILL)
            self._running.popen.wait()
            self._running = None
            self.killed += 1
            self._next = time.monotonic() + self._rng.uniform(*_GAP_S)


def soak(folder: Path, *, seconds: float, seed: int, engine: str) -> SoakRecord:
    """Run it in a domain of its own on this machine, and return what was seen.

    :param folder: for logs, calls and worlds.
    :param engine: of the node.
    """
    os.environ.update(environment())
    record = SoakRecord(seconds, seed, engine)
    rng = random.Random(seed)
    started: list[Process] = []
    calls = [folder / f"calls_{number}.jsonl" for number in range(_PLANNERS)]
    with Processes(os.environ, log_folder=folder) as processes:
        node = start_camera(processes, folder, {"engine": engine, **PARAMETERS})
        started.append(node)
        with CameraClient() as client:
            client.wait_until_ready(timeout_s=_LIMIT_S)
            started.append(processes.start("soak.seeder", [], log=True))
            for number, path in enumerate(calls):
                arguments = ["--seed", str(seed + number), "--seconds", str(seconds), "--out", str(path)]
                started.append(processes.start("soak.planner", arguments, log=True, name=f"planner_{number}"))
            _watch(record, client, started, _Listeners(processes, rng), rng)
        for planner in started[2:]:
            _end_of(planner, record)
    record.unexpected += [
        f"{each.name} ended with exit code {code}: {each.where_to_look}"
        for each in started
        if (code := each.popen.poll()) != 0
    ]
    for path in calls:
        record.take_calls(path)
    record.judge()
    record.unexpected += _of_logs(started) + _of_worlds(folder / "worlds")
    return record


def _watch(
    record: SoakRecord, client: CameraClient, started: list[Process], listeners: _Listeners, rng: random.Random
) -> None:
    """Sample the node until the time is up, or something ends that should not."""
    node, start = started[0], time.monotonic()
    with tqdm(total=round(record.seconds), desc="soak", unit="s") as bar:
        while (at_s := time.monotonic() - start) < record.seconds:
            bar.update(round(at_s) - bar.n)
            if (code := node.popen.poll()) is not None:
                record.unexpected.append(f"the node ended after {at_s:.0f} s with exit code {code}")
                return
            listeners.step()
            record.samples.append(Sample(at_s, figures_of(node.popen.pid), _answer_s(client, rng)))
            bar.set_postfix_str(f"{record.samples[-1].node.rss_mb:.0f} MB")
            time.sleep(max(0.0, _PERIOD_S - (time.monotonic() - start - at_s)))
            record.killed = listeners.killed


def _answer_s(client: CameraClient, rng: random.Random) -> float:
    """Return how long a rendering takes; NaN if it is refused."""
    pose, began = pose_from(rng), time.perf_counter()
    try:
        client.render(pose, images=False)
    except VmemError:
        return math.nan
    return time.perf_counter() - began


def _end_of(planner: Process, record: SoakRecord) -> None:
    """Wait for a planner, whose last call may last."""
    end = time.monotonic() + _LIMIT_S
    while planner.popen.poll() is None:
        if time.monotonic() > end:
            record.unexpected.append(f"{planner.name} did not end within {_LIMIT_S:g} s of its time")
            return
        time.sleep(0.1)


def _of_logs(started: list[Process]) -> list[str]:
    """Return what logs have that they should not."""
    out = []
    for each in started:
        text = each.log.read_text(errors="replace") if each.log is not None else ""
        out += [f"{each.log} has {word!r}" for word in ("Traceback", "[ERROR]", "[FATAL]") if word in text]
    return out


def _of_worlds(folder: Path) -> list[str]:
    """Return what is wrong with the worlds that were saved: each has to load, and nothing else is to be there."""
    out, world = [], default_world()
    for path in sorted(folder.iterdir()) if folder.exists() else ():
        if path.name.startswith("."):
            out.append(f"{path} was left behind")
            continue
        try:
            world.load(path)
        except VmemError as error:
            out.append(f"a saved world does not load: {error}")
    return out
