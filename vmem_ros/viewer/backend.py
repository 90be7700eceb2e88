"""What the viewer wants of a world, wherever it lives."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.types import Target
from vmem_ros.viewer.snapshot import Preview, Snapshot


@dataclass(frozen=True, eq=False)
class Status:
    """How things stand.

    :param version: another number after each change of the world.
    :param ready: whether there is a world that answers.
    :param views: how many are stored.
    :param summary: what it is made of, in words.
    :param activity: what is done now, in words.
    :param fraction: share of the running work that is done, in [0, 1]; ``None``: nothing runs that may be cancelled.
    :param takes_prompt: whether the engine reads a prompt.
    :param T_world_camera: [4, 4] float64 where the camera is; ``None``: nowhere yet.
    :param camera: its lens.
    :param preview_period_s: previews are asked for no faster; ``snapshot_period_s`` likewise.
    """

    version: int
    ready: bool
    views: int
    summary: str
    activity: str
    fraction: float | None
    takes_prompt: bool
    T_world_camera: Tensor | None
    camera: Camera
    preview_period_s: float
    snapshot_period_s: float


class Backend(Protocol):
    """A world and its one worker. Every method returns at once, in any thread.

    What is refused, by :class:`~vmem_ros.errors.VmemError`, is so at once or in the future. Results of ``generate``,
    ``undo`` and ``save`` say in words what was done.
    """

    def status(self) -> Status:
        """Return how things stand; cheap to ask."""
        ...

    def snapshot(self) -> Future[Snapshot]:
        """Return what is to be shown in space."""
        ...

    def preview(self, target: Target) -> Future[Preview]:
        """Return what memory alone shows at a pose, also while a view is generated."""
        ...

    def move(self, T_world_camera: Tensor) -> None:
        """Put the camera somewhere; the latest wins.

        :raises InvalidPoseError: it is no pose.
        """
        ...

    def generate(self, prompt: str) -> Future[str]:
        """Draw a view where the camera is, and remember it.

        :param prompt: empty: none.
        """
        ...

    def cancel(self) -> None:
        """End what is generated, and drop what waits; the world stays as it is."""
        ...

    def undo(self) -> Future[str]:
        """Take the newest change back."""
        ...

    def save(self, *, overwrite: bool) -> Future[str]:
        """Save the world where the backend keeps it.

        :param overwrite: whether a file that is there may be replaced.
        """
        ...
