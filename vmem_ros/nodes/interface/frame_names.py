"""Names of the coordinate frames of one camera."""

from __future__ import annotations

from dataclasses import dataclass

from vmem_ros.nodes.interface.names import FrameRole


@dataclass(frozen=True)
class FrameNames:
    """Names of the frames of one camera.

    ``world`` -> ``link`` (x forward) -> ``optical`` is where the camera is now. Each image stream has an optical frame
    of its own below ``world``, sent with the stamp of its image, so that a view that comes late still has its place.
    """

    world: str
    prefix: str

    @property
    def link(self) -> str:
        """The camera link, x forward."""
        return f"{self.prefix}_link"

    @property
    def optical(self) -> str:
        """The camera's optical frame, z forward."""
        return f"{self.prefix}_optical_frame"

    def of(self, role: FrameRole) -> str:
        """Return the frame of a row of the interface table."""
        if role in ("generated", "preview"):
            return f"{self.prefix}_{role}_optical_frame"
        return self.world if role == "world" else ""
