"""Disks into a z-buffer: which surfel every pixel sees, and how far away. Deterministic on every device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.errors import InvalidCameraError
from vmem_ros.geometry import Camera, invert, transform
from vmem_ros.memory import zbuffer
from vmem_ros.memory.growable import BLOCK
from vmem_ros.memory.surfel.ellipses import Disks, draw_disks
from vmem_ros.memory.surfel.occlusion import NEAR, OcclusionPyramid
from vmem_ros.memory.surfel.surfels import Blocks, Bounds, SurfelCloud

# Blocks drawn before the first look at what they hide.
_FIRST_BLOCKS = 128
# Disks whose cosine is smaller are seen from behind or edge-on: of these float32 cannot tell where they are.
_EDGE_ON = 2e-3


@dataclass(frozen=True, eq=False)
class Splat:
    """What a camera sees of the surfels.

    :param ids: [H, W] int64 of the front surfel, or -1.
    :param depth: [H, W] float32 z-depth of the point where the pixel's ray meets the disk, NaN where there is none.
    """

    ids: Tensor
    depth: Tensor


def splat(surfels: SurfelCloud, blocks: Blocks, camera: Camera, T_surfels_camera: Tensor, *, scale: float) -> Splat:
    """Render disks with occlusion; disks that face away are not drawn.

    :param blocks: the same surfels in blocks; only blocks in view are touched.
    :param T_surfels_camera: [4, 4] camera pose in the surfels' frame.
    :param scale: drawn radius over surfel radius. Surfels are spaced by twice their radius: 1.42 meets the neighbours
        across a diagonal, and merging with older surfels leaves gaps that take a little more.
    :raises InvalidCameraError: the camera has skew.
    """
    if camera.K[0, 1] != 0:
        raise InvalidCameraError(f"surfels cannot be drawn with a skew of {float(camera.K[0, 1]):g} px: ask without it")
    device = surfels.position.device
    buffer = zbuffer.empty_buffer(camera.height * camera.width, device)
    T_camera_surfels = invert(T_surfels_camera)
    for part, occlusion in _front_to_back(blocks, camera, T_camera_surfels, scale, buffer):
        disks = _facing(blocks, part, len(surfels), camera, T_camera_surfels, scale)
        draw_disks(disks if occlusion is None else _unhidden(disks, occlusion), camera, buffer)
    ids, depth = zbuffer.ids_of(buffer), zbuffer.depth_of(buffer, empty=torch.nan)
    return Splat(ids.view(camera.size), depth.view(camera.size))


def _front_to_back(
    blocks: Blocks, camera: Camera, T_camera_surfels: Tensor, scale: float, buffer: Tensor
) -> Iterator[tuple[Tensor, OcclusionPyramid | None]]:
    """Yield the numbers of the blocks that can show in the picture, nearest first, in parts that grow.

    With each part, after the first, comes what is drawn so far; blocks behind it are left out, so rooms behind walls
    cost next to nothing.
    """
    groups, _, _ = _in_view(blocks.groups, camera, T_camera_surfels, scale)
    members = (groups[:, None] * BLOCK + torch.arange(BLOCK, device=groups.device)).flatten()
    members = members[members < len(blocks.bounds.radius)]
    inside, centre, radius = _in_view(blocks.bounds.select(members), camera, T_camera_surfels, scale)
    order = torch.argsort(centre[:, 2] - radius)
    chosen, centre, radius = members[inside[order]], centre[order], radius[order]
    size, occlusion = _FIRST_BLOCKS, None
    while len(chosen):
        yield chosen[:size], occlusion
        chosen, centre, radius = chosen[size:], centre[size:], radius[size:]
        size *= 2
        if len(chosen):
            occlusion = OcclusionPyramid(buffer, camera)
            kept = (~occlusion.hides(centre, radius)).nonzero().squeeze(1)
            chosen, centre, radius = (column.index_select(0, kept) for column in (chosen, centre, radius))


def _drawn_radius(radius: Tensor, z: Tensor, camera: Camera, scale: float) -> Tensor:
    """Return the drawn radius: at least a pixel wide, for a smaller disk would fall between the pixel centres."""
    return torch.maximum(radius * scale, z * (0.71 / max(camera.fx, camera.fy)))


def _in_view(bounds: Bounds, camera: Camera, T_camera_surfels: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the numbers [n] of the spheres whose disks may meet the view frustum, and in the camera frame spheres that
    hold the disks as they are drawn: centres [n, 3] and radii [n].
    """
    centre = transform(T_camera_surfels, bounds.centre)
    radius = bounds.radius + _drawn_radius(bounds.largest, centre[:, 2] + bounds.radius, camera, scale)
    left, right = -camera.cx / camera.fx, (camera.width - camera.cx) / camera.fx
    top, bottom = -camera.cy / camera.fy, (camera.height - camera.cy) / camera.fy
    # Inward normals of the side planes and of the near plane.
    planes = torch.tensor(
        [[1, 0, -left], [-1, 0, right], [0, 1, -top], [0, -1, bottom], [0, 0, 1]], dtype=torch.float32
    )
    planes = torch.nn.functional.normalize(planes, dim=-1).to(centre.device)
    inside = (centre @ planes.T > -radius[:, None]).all(dim=-1).nonzero().squeeze(1)
    return inside, centre.index_select(0, inside), radius.index_select(0, inside)


def _facing(
    blocks: Blocks, chosen: Tensor, n_surfels: int, camera: Camera, T_camera_surfels: Tensor, scale: float
) -> Disks:
    """Return the disks of the chosen blocks that face the camera, in the camera frame."""
    surfels = blocks.surfels
    number = (chosen[:, None] * BLOCK + torch.arange(BLOCK, device=chosen.device)).flatten()
    centre = transform(T_camera_surfels, surfels.position.index_select(0, chosen)).view(-1, 3)
    R = T_camera_surfels[:3, :3].to(centre)
    normal = (surfels.normal.index_select(0, chosen) @ R.T).view(-1, 3)
    facing = (normal * centre).sum(dim=-1) < -_EDGE_ON * torch.linalg.vector_norm(centre, dim=-1)
    kept = (facing & (centre[:, 2] > NEAR) & (number < n_surfels)).nonzero().squeeze(1)
    number, centre, normal = (t.index_select(0, kept) for t in (number, centre, normal))
    radius, provenance = (
        column.index_select(0, chosen).flatten().index_select(0, kept)
        for column in (surfels.radius, surfels.provenance)
    )
    tag = zbuffer.tags(number, provenance > 0)
    return Disks(tag, centre, normal, _drawn_radius(radius, centre[:, 2], camera, scale))


def _unhidden(disks: Disks, occlusion: OcclusionPyramid) -> Disks:
    """Return the disks that are not behind what is drawn already."""
    kept = (~occlusion.hides(disks.centre, disks.radius)).nonzero().squeeze(1)
    return Disks(*(column.index_select(0, kept) for column in vars(disks).values()))
