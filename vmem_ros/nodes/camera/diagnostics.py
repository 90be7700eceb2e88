"""/diagnostics: one status for each part of the node: model, generation, seeding, inputs, time and others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

import torch
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from vmem_ros.errors import ErrorCode
from vmem_ros.messages import rotations
from vmem_ros.messages.cv_bridge_package import cv_bridge_source
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.inputs import Problem
from vmem_ros.nodes.camera.observing import Observing
from vmem_ros.nodes.camera.preview_stream import PreviewStream
from vmem_ros.nodes.camera.requests import Generation
from vmem_ros.nodes.camera.seeding import Seeding
from vmem_ros.nodes.camera.status import StatusTopic
from vmem_ros.nodes.camera.teleop import Follow
from vmem_ros.nodes.camera.tf import TF_INSTALLED
from vmem_ros.nodes.interface.rclpy_messages import header

OK, WARN, ERROR, STALE = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR, DiagnosticStatus.STALE

# Diagnostics for which a clock may be looked for before somebody is told.
_CLOCK_PATIENCE = 2
_NO_CLOCK = "use_sim_time is set, and nobody publishes /clock"


class Diagnostics:
    """Publishes every ``diagnostics.period_s``, whatever the lifecycle state."""

    def __init__(
        self,
        core: Core,
        generation: Generation,
        preview: PreviewStream,
        seeding: Seeding,
        observing: Observing,
        follow: Follow,
        status: StatusTopic,
    ) -> None:
        self._core = core
        self._generation = generation
        self._preview = preview
        self._seeding = seeding
        self._observing = observing
        self._follow = follow
        self._status = status
        self._last = (time.monotonic(), 0, 0, 0)
        self._without_clock = 0
        core.inputs.watch(self._clock)
        core.create_timer("diagnostics", core.parameters["diagnostics.period_s"], self._tick)

    def _tick(self) -> None:
        now = (
            time.monotonic(),
            self._preview.published,
            self._generation.views_done,
            self._seeding.accepted,
        )
        seconds = max(now[0] - self._last[0], 1e-6)
        preview_hz, views_hz, seeds_hz = ((a - b) / seconds for a, b in zip(now[1:], self._last[1:], strict=True))
        self._last = now
        if self._core.inputs.look():
            self._core.state_changed()
        message = DiagnosticArray(
            header=header("", self._core.now_ns()),
            status=[
                self._model(),
                self._requests(views_hz),
                self._entry("preview", OK, "", {"rate_hz": f"{preview_hz:.2f}"}),
                self._seeds(seeds_hz),
                self._memory(),
                self._frames(),
                self._parameters(),
                self._time(),
                self._inputs(),
            ],
        )
        self._core.publishers["/diagnostics"].publish(message)

    def _entry(self, part: str, level: bytes, message: str, values: Mapping[str, object]) -> DiagnosticStatus:
        return DiagnosticStatus(
            level=level,
            name=f"{self._core.node.get_fully_qualified_name()}: {part}",
            message=message or "ok",
            hardware_id=self._status.summary.device,
            values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
        )

    def _model(self) -> DiagnosticStatus:
        worker, summary = self._core.worker, self._status.summary
        level = {"unloaded": STALE, "loading": WARN, "ready": OK, "failed": ERROR}[worker.state]
        values = {"state": worker.state, "engine": summary.engine, "estimator": summary.estimator}
        return self._entry("model", level, str(worker.failure or worker.state), values)

    def _requests(self, views_hz: float) -> DiagnosticStatus:
        generation, worker = self._generation, self._core.worker
        failed = generation.last_code not in (ErrorCode.NONE, ErrorCode.CANCELLED)
        fallbacks = self._status.fallbacks()
        level = ERROR if generation.last_code == ErrorCode.OUT_OF_MEMORY else WARN if failed or fallbacks else OK
        values = {
            "rate_hz": f"{views_hz:.3f}",
            "last_view_s": f"{generation.last_view_s:.3f}",
            "queued": worker.waiting("request"),
            "oldest_queued_s": f"{worker.oldest_s('request'):.1f}",
            "paused": worker.paused,
            "fallbacks": "; ".join(fallbacks) or "none",
        }
        return self._entry("generation", level, generation.last_message or "; ".join(fallbacks), values)

    def _seeds(self, seeds_hz: float) -> DiagnosticStatus:
        seeding = self._seeding
        missing = seeding.waits_for()
        values = {
            "rate_hz": f"{seeds_hz:.2f}",
            "accepted": seeding.accepted,
            "skipped": seeding.skipped,
            "overtaken": seeding.overtaken,
            "unmatched": seeding.unmatched,
            **{f"lost of {topic}": f"{share:.0%}" for topic, share in seeding.lost.items()},
            "rejected": seeding.rejected,
            "last_rejection": seeding.last_rejection or "none",
            "unusual_encodings": cv_bridge_source(),
            "absurd_depths": self._observing.absurd_depths,
            "poses_corrected": self._observing.corrected,
            "poses_kept": self._observing.kept,
            "last_refinement": self._observing.last_refinement or "none",
        }
        waiting = f"images wait for {', '.join(missing)}" if missing else ""
        problem = "; ".join(filter(None, (waiting, seeding.frame_doubt)))
        return self._entry("seeding", WARN if problem else OK, problem, values)

    def _memory(self) -> DiagnosticStatus:
        summary = self._status.summary
        values: dict[str, object] = {
            "views": summary.views,
            "kind": summary.memory or "none",
            **dict(summary.figures),
            "bytes": summary.nbytes,
            "scale": "metric" if summary.metric else "relative",
        }
        if summary.device.startswith("cuda"):
            values["gpu_bytes"] = torch.cuda.memory_allocated(summary.device)
        return self._entry("memory", OK, "" if summary.views else "empty: seed the world", values)

    def _frames(self) -> DiagnosticStatus:
        rivals = self._core.broadcaster.rivals
        shared = f"somebody else sends {rivals}, too: give each camera a frame_prefix of its own" if rivals else ""
        missing = "tf2_msgs is not installed: no /tf" if not TF_INSTALLED else ""
        problem = "; ".join(filter(None, (self._follow.problem, shared, missing)))
        values = {
            "transforms": self._core.frames.source,
            "transforms_ignored": self._core.frames.ignored,
            "follow_frame": self._core.parameters["follow_frame"] or "none",
            "rotations": rotations.SOURCE,
        }
        return self._entry("frames", WARN if problem else OK, problem, values)

    def _parameters(self) -> DiagnosticStatus:
        unknown = ", ".join(self._core.parameters.unknown())
        message = f"unknown parameters, which change nothing: {unknown}" if unknown else ""
        return self._entry("parameters", WARN if unknown else OK, message, {"unknown": unknown or "none"})

    def _clock(self) -> Iterable[Problem]:
        core = self._core
        stands = core.node.get_clock().ros_time_is_active and core.now_ns() == 0
        self._without_clock = self._without_clock + 1 if stands else 0
        if self._without_clock > _CLOCK_PATIENCE:
            yield _NO_CLOCK, f"{_NO_CLOCK}: start the simulator, or leave it out"

    def _time(self) -> DiagnosticStatus:
        core = self._core
        message = next((text for text in core.inputs.problems if text.startswith(_NO_CLOCK)), "")
        values = {"use_sim_time": core.node.get_clock().ros_time_is_active, "jumps_back": core.epoch}
        return self._entry("time", WARN if message else OK, message, values)

    def _inputs(self) -> DiagnosticStatus:
        inputs = self._core.inputs
        values = {name: f"received {n}, unused {unused}" for name, n, unused in inputs.counts()}
        problem = "; ".join(inputs.problems)
        return self._entry("inputs", WARN if problem else OK, problem, values)
