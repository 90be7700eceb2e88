"""What depth images show, as points and normals in a frame with z up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry.camera import Camera
from vmem_ros.geometry.normals import normals_from_points
from vmem_ros.geometry.rays import pixel_rays

#: A direction in the world frame; its length does not matter.
Direction = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class PosedPoints:
    """N depth images in a frame whose z axis points up and whose origin is the first camera.

    :param centre: [N, 1, 1, 3] camera centres.
    :param ray: [N, H, W, 3], of such a length that ``centre + depth * ray`` is the point.
    :param point: [N, H, W, 3], NaN where nothing is known, as ``normal``, which is a unit vector.
    """

    centre: Tensor
    ray: Tensor
    point: Tensor
    normal: Tensor

    @classmethod
    def of(cls, depth: Tensor, cameras: Sequence[Camera], T_world_camera: Tensor, *, up: Direction) -> PosedPoints:
        """Return the points of depth images.

        :param depth: [N, H, W] z-depth; NaN unknown.
        :param cameras: N, of the images' size.
        :param T_world_camera: [N, 4, 4].
        :param up: which way is up in the world.
        """
        # Worlds may lie far from their origin, where float32 knows metres only.
        T = T_world_camera.to(torch.float64, copy=True)
        T[:, :3, 3] -= T_world_camera[0, :3, 3]
        T = (upright_rotation(up).to(T) @ T[:, :3]).to(depth)
        rotation, centre = T[:, None, None, :, :3], T[:, None, None, :, 3]
        rays = torch.stack([pixel_rays(camera, dtype=depth.dtype, device=depth.device) for camera in cameras])
        points = rays * depth[..., None]
        normals = torch.stack([normals_from_points(each) for each in points])

        def turned(vectors: Tensor) -> Tensor:
            return (rotation @ vectors[..., None]).squeeze(-1)

        return cls(centre, turned(rays), centre + turned(points), turned(normals))


def upright_rotation(up: Direction) -> Tensor:
    """Return the rotation [3, 3] float64 that takes ``up`` to +z; the identity for +z itself.

    :raises ValueError: it is no direction.
    """
    z = torch.tensor(up, dtype=torch.float64)
    length = torch.linalg.vector_norm(z)
    if z.shape != (3,) or not bool(length.isfinite()) or not bool(length > 0):
        raise ValueError(f"up must be a direction (x, y, z) that is finite and not zero, got {up!r}")
    z = z / length
    across = torch.eye(3, dtype=torch.float64)[z.abs().argmin()]
    x = torch.nn.functional.normalize(across - (across @ z) * z, dim=0)
    return torch.stack([x, torch.linalg.cross(z, x), z])
