"""What a layout is: the frames of a recording as they were written, one by one when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vmem_ros.messages.observed_view import ObservedView
from vmem_ros.types import Target


class Source(Protocol):
    """One recording as its layout has it. Opening reads no picture but the first."""

    #: Name of the layout, as in :data:`~vmem_ros.recordings.LAYOUTS`.
    layout: str
    #: Of each frame, for people: a file's name, or a time.
    names: Sequence[str]
    #: Camera, pose in the world of the recording, and time of each frame; pictures of lenses are rectified.
    targets: Sequence[Target]
    #: Which axis of that world points up, such as ``+y``, where the layout says it.
    up: str | None
    #: What a user should know: frames that are left out, say, and why.
    notes: Sequence[str]

    def read(self, index: int) -> ObservedView:
        """Return one frame, decoded anew at each call.

        :raises RecordingError: what belongs to it is missing, damaged or does not fit the rest.
        """
        ...

    def close(self) -> None:
        """Close files; nothing can be read any more."""
        ...
