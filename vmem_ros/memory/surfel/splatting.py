"""Disks into a z-buffer: which surfel every pixel sees, and how far away. Deterministic on every device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, invert, transform
from vmem_ros.kernels import usable
from vmem_ros.memory import zbuffer
from vmem_ros.memory.bounds import members_of
from vmem_ros.memory.culling import FIRST_BLOCKS, LEAST_PX, check_skew, drawn_radius, front_to_back
from vmem_ros.memory.occlusion import COVERED, NEAR, TILE, OcclusionPyramid
from vmem_ros.memory.surfel import compiled_splatting as compiled
from vmem_ros.memory.surfel.ellipses import Disks, draw_disks
from vmem_ros.memory.surfel.surfels import Blocks, SurfelCloud

# Disks whose cosine is smaller are seen from behind or edge-on: of these float32 cannot tell where they are.
_EDGE_ON = 2e-3
# What the compiled kernel is told of these and of what it does besides.
_CONSTANTS = {
    "near": NEAR,
    "edge_on": _EDGE_ON,
    "least_px": LEAST_PX,
    "covered": COVERED,
    "tile": TILE,
    "first_blocks": FIRST_BLOCKS,
}


@dataclass(frozen=True, eq=False)
class Splat:
    """What a camera sees of the surfels.

    :param ids: [H, W] int64 of the front surfel, or -1.
    :param depth: [H, W] float32 z-depth of the point where the pixel's ray meets the disk, NaN where there is none.
    :param imagined: [H, W] bool: no camera has seen that surfel.
    """

    ids: Tensor
    depth: Tensor
    imagined: Tensor

    def every(self, step: int) -> Splat:
        """Return every so many pixels of every so many rows."""
        return Splat(*(each[::step, ::step] for each in (self.ids, self.depth, self.imagined)))

    def without(self, gone: Tensor) -> Splat:
        """Return what is seen but at pixels ``gone`` [H, W] bool."""
        return Splat(torch.where(gone, -1, self.ids), torch.where(gone, torch.nan, self.depth), self.imagined & ~gone)


def splat(
    surfels: SurfelCloud,
    blocks: Blocks,
    camera: Camera,
    T_surfels_camera: Tensor,
    *,
    scale: float,
    hidden: Tensor | None = None,
) -> Splat:
    """Render disks with occlusion; disks that face away are not drawn.

    :param blocks: the same surfels in blocks; only blocks in view are touched.
    :param T_surfels_camera: [4, 4] camera pose in the surfels' frame.
    :param scale: drawn radius over surfel radius. Surfels are spaced by twice their radius: 1.42 meets the neighbours
        across a diagonal, and merging with older surfels leaves gaps that take a little more.
    :param hidden: [N] bool: surfels that are left out.
    :raises InvalidCameraError: the camera has skew.
    """
    check_skew(camera)
    T_camera_surfels = invert(T_surfels_camera)
    if library := usable(surfels.position):
        constants = {"scale": scale, **_CONSTANTS}
        return Splat(*compiled.splat(library, blocks, len(surfels), camera, T_camera_surfels, constants, hidden))
    buffer = zbuffer.empty_buffer(camera.height * camera.width, surfels.position.device)
    for part, occlusion in front_to_back(blocks.bounds, camera, T_camera_surfels, scale, buffer):
        disks = _facing(blocks, part, len(surfels), camera, T_camera_surfels, scale, hidden)
        draw_disks(disks if occlusion is None else _unhidden(disks, occlusion), camera, buffer)
    seen = zbuffer.ids_of(buffer), zbuffer.depth_of(buffer, empty=torch.nan), zbuffer.imagined_in(buffer)
    return Splat(*(each.view(camera.size) for each in seen))


def _facing(
    blocks: Blocks,
    chosen: Tensor,
    n_surfels: int,
    camera: Camera,
    T_camera_surfels: Tensor,
    scale: float,
    hidden: Tensor | None,
) -> Disks:
    """Return the disks of the chosen blocks that face the camera, in the camera frame."""
    surfels = blocks.surfels
    number = members_of(chosen)
    centre = transform(T_camera_surfels, surfels.position.index_select(0, chosen)).view(-1, 3)
    R = T_camera_surfels[:3, :3].to(centre)
    normal = (surfels.normal.index_select(0, chosen) @ R.T).view(-1, 3)
    facing = (normal * centre).sum(dim=-1) < -_EDGE_ON * torch.linalg.vector_norm(centre, dim=-1)
    drawn = facing & (centre[:, 2] > NEAR) & (number < n_surfels)
    if hidden is not None:
        drawn &= ~hidden[number.clamp(max=n_surfels - 1)]
    kept = drawn.nonzero().squeeze(1)
    number, centre, normal = (t.index_select(0, kept) for t in (number, centre, normal))
    radius, provenance = (
        column.index_select(0, chosen).flatten().index_select(0, kept)
        for column in (surfels.radius, surfels.provenance)
    )
    tag = zbuffer.tags(number, provenance > 0)
    return Disks(tag, centre, normal, drawn_radius(radius, centre[:, 2], camera, scale))


def _unhidden(disks: Disks, occlusion: OcclusionPyramid) -> Disks:
    """Return the disks that are not behind what is drawn already."""
    kept = (~occlusion.hides(disks.centre, disks.radius)).nonzero().squeeze(1)
    return Disks(*(column.index_select(0, kept) for column in vars(disks).values()))
