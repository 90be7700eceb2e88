"""Mirage's memory: latents lifted into the world, beside stored views and samples of what they saw."""

from vmem_ros.geometry.lifting import DepthSampling, Geometry, Lifted, grid_intrinsics, lift, masked_cells
from vmem_ros.geometry.warping import Warped, warp
from vmem_ros.memory.latent.memory import LatentMemory, LatentMemoryOptions
from vmem_ros.memory.latent.overlap import best_overlap, in_view, voxel_overlap, voxels_of

__all__ = [
    "DepthSampling",
    "Geometry",
    "LatentMemory",
    "LatentMemoryOptions",
    "Lifted",
    "Warped",
    "best_overlap",
    "grid_intrinsics",
    "in_view",
    "lift",
    "masked_cells",
    "voxel_overlap",
    "voxels_of",
    "warp",
]
