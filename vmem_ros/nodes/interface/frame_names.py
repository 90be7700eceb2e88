"""Names of the coordinate frames of one camera."""

from __future__ import annotations

from dataclasses import dataclass

from vmem_ros.nodes.interface.names import NAMESPACE, FrameRole


def prefix_of_namespace(namespace: str) -> str:
    """Return the prefix of the frames of a camera in a namespace: ``robot1/vmem`` in ``/robot1/vmem``.

    In the root namespace it is that of the default one.
    """
    return namespace.strip("/") or NAMESPACE


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
        if role in ("generated", "preview", "imagined"):
            return f"{self.prefix}_{role}_optical_frame"
        return self.world if role == "world" else ""

    @property
    def own(self) -> frozenset[str]:
        """All frames that the camera sends."""
        return frozenset((self.link, self.optical, self.of("generated"), self.of("preview")))
