"""Verbs that place the camera and change its lens."""

from __future__ import annotations

from vmem_ros.geometry import Camera
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.client.pose_stamps import PoseLike
from vmem_ros.nodes.client.verbs import Verbs, awaitable, blocking
from vmem_ros.nodes.interface.error_codes import error_from_text
from vmem_ros.nodes.interface.names import SERVICES
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header


class Moving(Verbs):
    """Where the camera is."""

    def move_to(self, pose: PoseLike) -> int:
        """Move the camera; returns the stamp in nanoseconds that views from there carry. Does not wait."""
        message = self._connection.stamps.stamped(pose)
        self._connection.pose.publish(message)
        return stamp_to_ns(message.header.stamp)

    @awaitable
    async def set_camera_async(self, camera: Camera) -> None:
        """Set the intrinsics of generated views."""
        service = SERVICES["set_camera_info"]
        request = service.type.Request(camera_info=camera_to_message(camera, header("", 0)))
        answer = await self._connection.call(self._connection.services[service.name], request)
        if not answer.success:
            raise error_from_text(answer.status_message)

    set_camera = blocking(set_camera_async)
