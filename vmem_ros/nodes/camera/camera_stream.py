"""Publishes generated views: image, intrinsics, depth, confidence, cloud, retrieval and transform, all of one stamp."""

from __future__ import annotations

from functools import lru_cache

import torch
from std_msgs.msg import Header
from vmem_ros.msg import Retrieval

from vmem_ros.geometry import Camera, pixel_rays
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.camera.compressed_stream import DEPTH, IMAGE, CompressedStream
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.delivered import await_delivery
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    points_to_message,
    pose_to_message,
)
from vmem_ros.types import Target
from vmem_ros.world import Frame

_ORDERED = ("camera/image_raw", "camera/depth/image_rect", "camera/confidence", IMAGE, DEPTH)


class CameraStream:
    """The topics below ``camera/`` and ``memory/retrieval``; used in the worker's thread."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._compressed = CompressedStream(core)

    def publish(self, frame: Frame, target: Target, epoch: int) -> int:
        """Publish one view at the stamp of the pose asked for, and return the stamp that it got.

        :param epoch: in which it was asked for; if time has jumped back since, its stamp is that of now.
        """
        core, publishers = self._core, self._core.publishers
        # Some of them keep one sample alone.
        await_delivery(publishers[name] for name in _ORDERED)
        present = core.parameters["stamp_policy"] == "publish" or epoch != core.epoch
        stamp_ns = core.unique_stamp_ns() if present else target.stamp_ns
        frame_id = core.names.of("generated")
        head = header(frame_id, stamp_ns)
        view = frame.view
        core.broadcaster.send(frame_id, target.T_world_camera, stamp_ns)
        info = camera_to_message(view.camera, head)
        depth = view.depth if view.depth is not None else torch.full(view.camera.size, torch.nan)
        publishers["camera/image_raw"].publish(image_to_message(view.image, head))
        publishers["camera/camera_info"].publish(info)
        publishers["camera/depth/image_rect"].publish(map_to_message(depth, head))
        publishers["camera/depth/camera_info"].publish(info)
        publishers["camera/confidence"].publish(map_to_message(frame.confidence, head))
        publishers["memory/retrieval"].publish(_retrieval(frame, target, head))
        if publishers["camera/points"].get_subscription_count():
            self._publish_points(frame, depth, head)
        self._compressed.publish(view.image, depth, head)
        return stamp_ns

    def _publish_points(self, frame: Frame, depth: torch.Tensor, head: Header) -> None:
        """Publish the cloud in the optical frame: Nav2 takes the sensor's place from the frame of the cloud."""
        parameters, stride = self._core.parameters, self._core.parameters["points.stride"]
        grid = (slice(None, None, stride), slice(None, None, stride))
        depth, confidence = depth[grid].cpu(), frame.confidence[grid].cpu()
        least = parameters["points.min_confidence"]
        keep = torch.isfinite(depth)
        if least > 0:
            # More than: what was imagined and is remembered has 0.5 exactly, and is no obstacle unless asked for.
            keep &= confidence > least
        points = _rays(frame.view.camera, stride)[keep] * depth[keep][:, None]
        cloud = points_to_message(points, frame.view.image[grid].cpu()[keep], confidence[keep], head)
        self._core.publishers["camera/points"].publish(cloud)


@lru_cache(maxsize=4)
def _rays(camera: Camera, stride: int) -> torch.Tensor:
    """Return the rays of every ``stride``-th pixel and row: [h, w, 3] float32, z = 1."""
    return pixel_rays(camera)[::stride, ::stride].contiguous()


def _retrieval(frame: Frame, target: Target, head: Header) -> Retrieval:
    recall = frame.recall
    return Retrieval(
        header=head,
        pose=pose_to_message(link_from_camera(target.T_world_camera)),
        view_ids=list(recall.indices),
        weights=recall.weights.tolist(),
        poses=[pose_to_message(link_from_camera(v.T_world_camera)) for v in recall.views],
        fallback=recall.fallback,
        reused=frame.reused,
        remembered=float(frame.projection.seen.float().mean()),
    )
