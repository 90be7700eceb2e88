"""Cameras, poses, rays and normals: pure functions on tensors."""

from vmem_ros.geometry.camera import Camera
from vmem_ros.geometry.normals import normals_from_points
from vmem_ros.geometry.poses import (
    as_pose,
    as_transform,
    average_pose,
    checked_pose,
    geodesic_distance,
    interpolate_poses,
    invert,
    look_at,
    pose_from,
    quaternion_xyzw,
)
from vmem_ros.geometry.projection import project, transform, unproject
from vmem_ros.geometry.rays import pixel_rays, plucker_rays
from vmem_ros.geometry.room import ManhattanRoom

__all__ = [
    "Camera",
    "ManhattanRoom",
    "as_pose",
    "as_transform",
    "average_pose",
    "checked_pose",
    "geodesic_distance",
    "interpolate_poses",
    "invert",
    "look_at",
    "normals_from_points",
    "pixel_rays",
    "plucker_rays",
    "pose_from",
    "project",
    "quaternion_xyzw",
    "transform",
    "unproject",
]
