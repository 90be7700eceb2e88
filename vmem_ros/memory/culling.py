"""Which blocks of elements a camera may see, nearest first, without those behind what is drawn already."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vmem_ros.errors import InvalidCameraError
from vmem_ros.geometry import Camera, transform
from vmem_ros.memory.bounds import BlockBounds, Bounds, members_of
from vmem_ros.memory.occlusion import OcclusionPyramid

#: Blocks drawn before the first look at what they hide.
FIRST_BLOCKS = 128
#: Nothing is drawn with a smaller radius in pixels: it would fall between the pixel centres.
LEAST_PX = 0.71


def drawn_radius(radius: Tensor, z: Tensor, camera: Camera, scale: float) -> Tensor:
    """Return the drawn radius: at least a pixel wide.

    :param scale: drawn radius over radius.
    """
    return torch.maximum(radius * scale, z * (LEAST_PX / max(camera.fx, camera.fy)))


def check_skew(camera: Camera) -> None:
    """Raise :class:`InvalidCameraError` if the camera has skew."""
    if camera.K[0, 1] != 0:
        raise InvalidCameraError(f"nothing can be drawn with a skew of {float(camera.K[0, 1]):g} px: ask without it")


def front_to_back(
    bounds: BlockBounds, camera: Camera, T_camera_elements: Tensor, scale: float, buffer: Tensor
) -> Iterator[tuple[Tensor, OcclusionPyramid | None]]:
    """Yield the numbers of the blocks that can show in the picture, nearest first, in parts that grow.

    With each part, after the first, comes what is drawn so far; blocks behind it are left out, so rooms behind walls
    cost next to nothing.

    :param buffer: [H * W] into which the caller draws each part, see :mod:`vmem_ros.memory.zbuffer`.
    :raises InvalidCameraError: the camera has skew.
    """
    check_skew(camera)
    chosen, centre, radius = blocks_in_view(bounds, camera, T_camera_elements, scale)
    order = torch.argsort(centre[:, 2] - radius)
    chosen, centre, radius = chosen[order], centre[order], radius[order]
    size, occlusion = FIRST_BLOCKS, None
    while len(chosen):
        yield chosen[:size], occlusion
        chosen, centre, radius = chosen[size:], centre[size:], radius[size:]
        size *= 2
        if len(chosen):
            occlusion = OcclusionPyramid(buffer, camera)
            kept = (~occlusion.hides(centre, radius)).nonzero().squeeze(1)
            chosen, centre, radius = (column.index_select(0, kept) for column in (chosen, centre, radius))


def blocks_in_view(
    bounds: BlockBounds, camera: Camera, T_camera_elements: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the numbers [n] of the blocks that may be in the picture, and spheres in the camera frame that hold their
    elements as they are drawn: centres [n, 3] and radii [n].
    """
    groups, _, _ = _in_view(bounds.groups, camera, T_camera_elements, scale)
    members = members_of(groups)
    members = members[members < len(bounds.blocks.radius)]
    inside, centre, radius = _in_view(bounds.blocks.select(members), camera, T_camera_elements, scale)
    return members.index_select(0, inside), centre, radius


def _in_view(bounds: Bounds, camera: Camera, T_camera_elements: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the numbers [n] of the spheres whose elements may meet the view frustum, and in the camera frame spheres
    that hold the elements as they are drawn: centres [n, 3] and radii [n].
    """
    centre = transform(T_camera_elements, bounds.centre)
    radius = bounds.radius + drawn_radius(bounds.largest, centre[:, 2] + bounds.radius, camera, scale)
    left, right = -camera.cx / camera.fx, (camera.width - camera.cx) / camera.fx
    top, bottom = -camera.cy / camera.fy, (camera.height - camera.cy) / camera.fy
    # Inward normals of the side planes and of the near plane.
    planes = torch.tensor(
        [[1, 0, -left], [-1, 0, right], [0, 1, -top], [0, -1, bottom], [0, 0, 1]], dtype=torch.float32
    )
    planes = torch.nn.functional.normalize(planes, dim=-1).to(centre.device)
    inside = (centre @ planes.T > -radius[:, None]).all(dim=-1).nonzero().squeeze(1)
    return inside, centre.index_select(0, inside), radius.index_select(0, inside)
