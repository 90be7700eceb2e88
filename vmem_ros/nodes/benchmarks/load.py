"""How soon the camera node answers while a path or a goal of very many poses comes."""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from action_msgs.srv import CancelGoal
from std_srvs.srv import SetBool
from tqdm import tqdm

from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures, Row, Settings, median_ms
from vmem_ros.benchmarking.timing import Timing
from vmem_ros.errors import NotReadyError, VmemError
from vmem_ros.nodes.benchmarks.running_camera import running_camera
from vmem_ros.nodes.client.spinning_node import SpinningNode
from vmem_ros.nodes.interface.names import NAMESPACE, NODE_NAME
from vmem_ros.nodes.tools.processes import Process, Processes, ProcessFailedError

_LIMIT_S = 60.0
_BUDGET_MS = 200.0
# Planners do not ask without a pause.
_PAUSE_S = 0.005
# Rows without anything else to do.
_AT_REST = 2


def run(settings: Settings) -> BenchmarkResult:
    """Measure it in a domain of its own that never leaves this machine."""
    poses = settings.pick(quick=1000, normal=100_000)
    with tempfile.TemporaryDirectory(prefix="vmem_bench_") as folder:
        try:
            rows = _measure(Path(folder), poses, seconds=settings.pick(quick=0.2, normal=5.0))
        except ProcessFailedError as error:
            raise VmemError(f"{error}") from error
    table = Figures(
        "Answers of the camera node while very many poses come",
        rows,
        f"Median / 90th percentile and the longest in ms, from another process, one call after the other: ~/pause, and "
        f"a cancel of a goal that there is not. Meanwhile a third process sends {poses:,} poses, in one path or one "
        "goal.",
    )
    kinds = (f"{row['call']} while a {row['meanwhile']} of {poses:,} poses comes" for row in rows[_AT_REST:])
    budgets = [
        Budget(kind, _BUDGET_MS, median_ms(row, "answer")) for kind, row in zip(kinds, rows[_AT_REST:], strict=True)
    ]
    return BenchmarkResult([table], budgets)


def _measure(folder: Path, poses: int, *, seconds: float) -> list[Row]:
    rows: list[Row] = []
    with running_camera(folder, {"camera.width": 96, "camera.height": 72}), _Caller() as caller:
        calls = {"pause": caller.pause, "cancel": caller.cancel}
        for what in tqdm(("nothing", "path", "goal"), desc="load", unit="kind"):
            for name, call in calls.items():
                with Processes(os.environ, log_folder=folder) as processes:
                    sender = None
                    if what != "nothing":
                        sender = processes.start("benchmarks.many_poses", [what, "--poses", str(poses)], log=True)
                    timing = _sample(call, sender, seconds)
                rows.append({"meanwhile": what, "call": name, "answer": timing, "longest": timing.quantile_ms(1.0)})
    return rows


def _sample(call: Callable[[], object], sender: Process | None, seconds: float) -> Timing:
    """Return how long calls take until the sender has ended, or for some seconds.

    :raises ProcessFailedError: it failed.
    """
    durations: list[float] = []
    end = time.monotonic() + seconds
    while sender.popen.poll() is None if sender is not None else time.monotonic() < end:
        began = time.perf_counter()
        call()
        durations.append(time.perf_counter() - began)
        time.sleep(_PAUSE_S)
    if sender is not None and sender.popen.returncode:
        raise ProcessFailedError(f"{sender.name} failed: {sender.where_to_look}")
    return Timing(tuple(durations))


class _Caller:
    """Calls services of the node from a context of its own."""

    def __init__(self) -> None:
        self._spinning = SpinningNode("vmem_caller", NAMESPACE)
        node = self._spinning.node
        self._pause = node.create_client(SetBool, f"{NODE_NAME}/pause")
        self._cancel = node.create_client(CancelGoal, f"{NODE_NAME}/generate/_action/cancel_goal")
        self._spinning.start()
        for client in (self._pause, self._cancel):
            if not client.wait_for_service(timeout_sec=_LIMIT_S):
                raise NotReadyError(f"no server for {client.srv_name}: is the camera node running?")

    def pause(self) -> None:
        """Say that generation goes on."""
        self._call(self._pause, SetBool.Request(data=False))

    def cancel(self) -> None:
        """Cancel a goal that nobody has sent."""
        request = CancelGoal.Request()
        request.goal_info.goal_id.uuid = np.frombuffer(uuid.uuid4().bytes, np.uint8)
        self._call(self._cancel, request)

    def _call(self, client: Any, request: Any) -> None:
        done = threading.Event()
        client.call_async(request).add_done_callback(lambda _: done.set())
        if not done.wait(_LIMIT_S):
            raise NotReadyError(f"{client.srv_name} did not answer within {_LIMIT_S:g} s")

    def __enter__(self) -> _Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self._spinning.close()
