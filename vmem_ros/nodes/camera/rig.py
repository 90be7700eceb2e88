"""Where the virtual camera is and what lens it has. Belongs to the executor's thread."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, as_pose
from vmem_ros.messages.transforms import camera_from_link, link_from_camera
from vmem_ros.nodes.interface.parameters import Parameters
from vmem_ros.types import Target


class Rig:
    """Pose and intrinsics of the virtual camera."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters
        self._listeners: list[Callable[[], None]] = []
        self.T_world_link: Tensor = torch.eye(4, dtype=torch.float64)
        #: Time of the pose.
        self.stamp_ns = 0
        #: Whether anybody has put the camera somewhere.
        self.placed = False
        #: Whether it is where a frame was at :attr:`stamp_ns`; otherwise it stays where it is.
        self.followed = False
        self.camera = self._camera_from_parameters()
        parameters.on_change(self._on_parameters)

    def on_move(self, listener: Callable[[], None]) -> None:
        """Call ``listener()`` after every move."""
        self._listeners.append(listener)

    def move(self, T_world_link: Tensor, stamp_ns: int) -> None:
        """Put the camera link (x forward) somewhere.

        :raises InvalidPoseError: absurdly far away, or no pose.
        """
        self.T_world_link, self.stamp_ns, self.placed = as_pose(T_world_link), stamp_ns, True
        self.followed = False
        for listener in self._listeners:
            listener()

    def follow(self, T_world_link: Tensor, stamp_ns: int) -> None:
        """Be where a frame is at a time; a move only if that is somewhere else."""
        if torch.equal(T_world_link, self.T_world_link):
            self.stamp_ns, self.placed = stamp_ns, True
        else:
            self.move(T_world_link, stamp_ns)
        self.followed = True

    def place_if_new(self, T_world_camera: Tensor, stamp_ns: int) -> None:
        """Start where a first view was taken, if nobody has put the camera anywhere; this is not a move."""
        if not self.placed:
            self.T_world_link, self.stamp_ns, self.placed = link_from_camera(T_world_camera), stamp_ns, True

    @property
    def preview_camera(self) -> Camera:
        """The same lens on the smaller grid of the preview."""
        scale = self._parameters["preview.scale"]
        return self.camera.resized(max(round(self.camera.width * scale), 1), max(round(self.camera.height * scale), 1))

    def target(self, camera: Camera, stamp_ns: int) -> Target:
        """Return where the camera is as the target of a view."""
        return Target(camera, camera_from_link(self.T_world_link), stamp_ns)

    def _camera_from_parameters(self) -> Camera:
        p = self._parameters
        return Camera.from_fov(p["camera.width"], p["camera.height"], p["camera.fov_deg"])

    def _on_parameters(self, names: set[str]) -> None:
        if names & {"camera.width", "camera.height", "camera.fov_deg"}:
            self.camera = self._camera_from_parameters()
