"""Poses and transforms. Messages speak of the camera link (x forward), the package of the optical frame (z forward)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vmem_ros.geometry import as_transform, checked_pose, invert
from vmem_ros.messages.message_types import MessageTypes
from vmem_ros.messages.rotations import matrix_from_xyzw, xyzw_from_matrix

#: Pose of the optical frame (x right, y down, z forward) in the link frame (x forward, y left, z up), REP-103.
T_LINK_OPTICAL = torch.tensor([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)


def link_from_camera(T_world_camera: Tensor) -> Tensor:
    """Return the pose of the camera link (x forward) from that of the optical frame."""
    return T_world_camera @ invert(T_LINK_OPTICAL)


def camera_from_link(T_world_link: Tensor) -> Tensor:
    """Return the pose of the optical frame from that of the camera link (x forward)."""
    return T_world_link @ T_LINK_OPTICAL


def pose_from_message(pose: Any) -> Tensor:
    """Return [4, 4] float64 of a ``geometry_msgs/msg/Pose``, or raise :class:`InvalidPoseError`."""
    return _transform(pose.position, pose.orientation)


def pose_to_message(types: MessageTypes, T: Tensor) -> Any:
    """Return [4, 4] as a ``geometry_msgs/msg/Pose``."""
    x, y, z = T[:3, 3].tolist()
    position = types.make("geometry_msgs/msg/Point", x=x, y=y, z=z)
    return types.make("geometry_msgs/msg/Pose", position=position, orientation=_quaternion(types, T))


def transform_from_message(transform: Any) -> Tensor:
    """Return [4, 4] float64 of a ``geometry_msgs/msg/Transform``, or raise :class:`InvalidPoseError`."""
    return _transform(transform.translation, transform.rotation)


def transform_to_message(types: MessageTypes, T_parent_child: Tensor, head: Any, child: str) -> Any:
    """Return [4, 4] as the ``geometry_msgs/msg/TransformStamped`` from ``head.frame_id`` to ``child``."""
    x, y, z = T_parent_child[:3, 3].tolist()
    transform = types.make(
        "geometry_msgs/msg/Transform",
        translation=types.make("geometry_msgs/msg/Vector3", x=x, y=y, z=z),
        rotation=_quaternion(types, T_parent_child),
    )
    return types.make("geometry_msgs/msg/TransformStamped", header=head, child_frame_id=child, transform=transform)


def _transform(p: Any, q: Any) -> Tensor:
    position, quaternion_xyzw = checked_pose([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])
    return as_transform(matrix_from_xyzw(quaternion_xyzw), position)


def _quaternion(types: MessageTypes, T: Tensor) -> Any:
    x, y, z, w = xyzw_from_matrix(T[:3, :3].cpu().numpy()).tolist()
    return types.make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w)
