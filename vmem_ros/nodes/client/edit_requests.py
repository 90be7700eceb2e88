"""Requests of ``~/edit_world``."""

from __future__ import annotations

import torch
from geometry_msgs.msg import PoseStamped, Vector3
from torch import Tensor
from vmem_ros.srv import EditWorld

from vmem_ros.edits import Box, Sphere, UnderMask
from vmem_ros.errors import InvalidEditError
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    elements_to_message,
    header,
    mask_to_message,
    pose_to_message,
)
from vmem_ros.types import Elements


def edit_request(remove: Box | Sphere | UnderMask | None, add: Elements | None, frame_id: str) -> EditWorld.Request:
    """Return the request to remove a place and to add a cloud, both in a frame.

    :raises InvalidEditError: the place is of another kind.
    """
    request, head = EditWorld.Request(), header(frame_id, 0)
    if isinstance(remove, Box):
        x, y, z = remove.size_m.tolist()
        request.remove, request.size = EditWorld.Request.BOX, Vector3(x=x, y=y, z=z)
        request.pose = _stamped(remove.T_world_box, frame_id)
    elif isinstance(remove, Sphere):
        T = torch.eye(4, dtype=torch.float64)
        T[:3, 3] = remove.centre
        request.remove, request.radius = EditWorld.Request.SPHERE, remove.radius_m
        request.pose = _stamped(T, frame_id)
    elif isinstance(remove, UnderMask):
        request.remove, request.thickness = EditWorld.Request.MASK, float(remove.thickness_m)
        request.pose = _stamped(link_from_camera(remove.target.T_world_camera), frame_id)
        request.mask = mask_to_message(remove.mask, head)
        request.camera_info = camera_to_message(remove.target.camera, head)
    elif remove is not None:
        raise InvalidEditError(f"remove must be a Box, a Sphere or an UnderMask, got {type(remove).__name__}")
    if add is not None:
        request.add = elements_to_message(add, head)
    return request


def _stamped(T: Tensor, frame_id: str) -> PoseStamped:
    return PoseStamped(header=header(frame_id, 0), pose=pose_to_message(T))
