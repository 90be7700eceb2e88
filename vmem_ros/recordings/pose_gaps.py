"""Frames whose pose nobody knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from vmem_ros.errors import RecordingError

#: What becomes of a frame whose pose is not known: an error, or it is left out and named in the notes.
Policy = Literal["error", "skip"]


@dataclass
class _Run:
    """Frames without a pose that follow one another, and why the first of them has none."""

    name: str
    reason: str
    last: int
    last_name: str

    def text(self) -> str:
        names = self.name if self.last_name == self.name else f"{self.name} to {self.last_name}"
        return f"{names} ({self.reason})"


@dataclass
class PoseGaps:
    """Takes note of frames without a pose, in the order of the frames.

    :raises RecordingError: there is no such policy.
    """

    policy: Policy
    _runs: list[_Run] = field(default_factory=list)
    _count: int = 0

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            raise RecordingError(f"gaps = {self.policy!r}: use {' or '.join(get_args(Policy))}")

    def add(self, index: int, name: str, reason: str) -> None:
        """Note one frame.

        :raises RecordingError: the policy is ``error``.
        """
        if self.policy == "error":
            raise RecordingError(f"frame {name} has no pose: {reason}; gaps=skip leaves such frames out")
        self._count += 1
        if self._runs and self._runs[-1].last == index - 1:
            self._runs[-1].last, self._runs[-1].last_name = index, name
        else:
            self._runs.append(_Run(name, reason, index, name))

    def notes(self, frames: int) -> list[str]:
        """Return what was left out of so many frames, in words; empty if nothing was."""
        if not self._count:
            return []
        runs = "; ".join(run.text() for run in self._runs)
        return [f"left out {self._count} of {frames} frames without a pose: {runs}"]
