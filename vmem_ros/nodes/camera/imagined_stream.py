"""Publishes imagined views: each as one message with the numbers of its path and view."""

from __future__ import annotations

import torch
from vmem_ros.msg import ImaginedView as ImaginedViewMessage

from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.delivered import await_delivery
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    pose_to_message,
)
from vmem_ros.types import Target
from vmem_ros.world_imagining import ImaginedView

_TOPICS = ("imagined/view", "imagined/image_raw")


class ImaginedStream:
    """The topics below ``imagined/``; used in the worker's thread."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def publish(self, view: ImaginedView, target: Target, goal_id: bytes) -> None:
        """Publish one view, where anybody listens."""
        publishers = [self._core.publishers[name] for name in _TOPICS]
        whole, picture = publishers
        if not any(each.get_subscription_count() for each in publishers):
            return
        await_delivery(publishers)
        message = self.message(view, target, goal_id, pictures=True)
        if whole.get_subscription_count():
            whole.publish(message)
        if picture.get_subscription_count():
            picture.publish(message.image)

    def message(self, view: ImaginedView, target: Target, goal_id: bytes, *, pictures: bool) -> ImaginedViewMessage:
        """Return a view as a message, with or without its pictures."""
        names, frame, figures = self._core.names, view.frame, view.figures
        head = header(names.of("imagined"), target.stamp_ns)
        out = ImaginedViewMessage(
            header=header(names.world, target.stamp_ns),
            goal_id=list(goal_id),
            path=view.path,
            view=view.number,
            pose=pose_to_message(link_from_camera(target.T_world_camera)),
            remembered=figures.remembered,
            mean_confidence=figures.confidence,
            nearest_depth=figures.nearest_depth_m,
            disagreement=figures.disagreement,
            camera_info=camera_to_message(target.camera, head),
        )
        if pictures:
            depth = frame.view.depth
            out.image = image_to_message(frame.view.image, head)
            out.depth = map_to_message(torch.full(target.camera.size, torch.nan) if depth is None else depth, head)
            out.confidence = map_to_message(frame.confidence, head)
        return out
