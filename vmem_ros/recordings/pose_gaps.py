"""Frames whose pose nobody knows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from vmem_ros.errors import RecordingError

#: What becomes of a frame whose pose is not known: an error, or it is left out and named in the notes.
Policy = Literal["error", "skip"]


@dataclass
class PoseGaps:
    """Takes note of frames without a pose, in the order of the frames.

    :raises RecordingError: there is no such policy.
    """

    policy: Policy
    _runs: list[tuple[int, str, int, str]] = field(default_factory=list)
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
        if self._runs and self._runs[-1][2] == index - 1:
            first, first_name, _, _ = self._runs.pop()
            self._runs.append((first, first_name, index, f"{first_name} to {name}"))
        else:
            self._runs.append((index, name, index, f"{name} ({reason})"))

    def notes(self, frames: int) -> list[str]:
        """Return what was left out of so many frames, in words; empty if nothing was."""
        if not self._count:
            return []
        return [f"left out {self._count} of {frames} frames without a pose: {', '.join(run[3] for run in self._runs)}"]
