"""The classical peer: a truncated signed distance field of the same frames, in Open3D's sparse voxel grid.

Nothing else of the package needs Open3D; it is imported when a volume is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.extras import needs_extra
from vmem_ros.geometry import invert
from vmem_ros.types import Projection, Target, View

#: What needs it, for the message of :class:`~vmem_ros.errors.MissingPackageError`.
WHAT = "the TSDF peer"
# Voxels a side of a block, and blocks that have room before the grid grows.
_BLOCK, _BLOCKS = 8, 10_000
# The band around a surface in voxels, and how many frames a voxel must have seen: Open3D's own band, and one, for a
# recording of which every other frame is left out does not see much twice.
_BAND, _LEAST_FRAMES = 8.0, 1.0
# Rays begin here, and end here where nothing says how far away things are.
_NEAR_M, _FAR_M = 0.1, 8.0
# Its buffers double with every cast that lacks room, about.
_MOST_CASTS = 8
# A grid has so many voxels along the depth of a scene: 512 along 3 m is what Open3D's examples take, for a hand's
# reach; a room that is looked at through 384 pixels has no more to give than half of that.
_VOXELS_DEEP = 256
_VOXEL_RANGE_M = (0.004, 0.05)
_FAR_SHARE = 0.95


def usual_voxel_m(depths: Iterable[Tensor]) -> float:
    """Return the size of a voxel in metres that users would choose for depth maps [H, W] like these.

    The 95th percentile of depth over 256, in whole millimetres, from 4 mm to 5 cm: 1.6 cm where things are 4 m away.

    :raises InvalidImageError: no map has a depth.
    """
    return float(np.clip(round(_far(depths) / _VOXELS_DEEP, 3), *_VOXEL_RANGE_M))


def usual_far_m(depths: Iterable[Tensor]) -> float:
    """Return how far to look in metres: 8, or twice the 95th percentile of depth where that is more."""
    return max(_FAR_M, 2 * _far(depths))


def _far(depths: Iterable[Tensor]) -> float:
    known = [depth[torch.isfinite(depth)] for depth in depths]
    if not any(len(values) for values in known):
        raise InvalidImageError("no frame has any depth: a TSDF needs that of a sensor")
    return float(np.quantile(torch.cat(known).numpy(), _FAR_SHARE))


class TsdfVolume:
    """A TSDF of coloured frames: integrate some, and cast rays from any pose.

    :param voxel_m: side of a voxel in metres.
    :param far_m: depth beyond it is not integrated, and not cast.
    :raises MissingPackageError: Open3D is not installed.
    :raises ValueError: a size that is not positive.
    """

    def __init__(self, voxel_m: float, *, far_m: float = _FAR_M) -> None:
        if not (voxel_m > 0 and far_m > 0):
            raise ValueError(f"voxel_m and far_m must be positive, got {voxel_m:g} and {far_m:g}")
        with needs_extra("peers", WHAT):
            import open3d
        self.voxel_m = voxel_m
        self.far_m = far_m
        self._o3d: Any = open3d
        core = self._o3d.core
        self._grid: Any = self._o3d.t.geometry.VoxelBlockGrid(
            ("tsdf", "weight", "color"), (core.float32,) * 3, ((1), (1), (3)), voxel_m, _BLOCK, _BLOCKS,
            core.Device("CPU:0"),
        )  # fmt: skip

    @property
    def blocks(self) -> int:
        """How many blocks of 8 x 8 x 8 voxels it holds."""
        return int(self._grid.hashmap().size())

    def integrate(self, view: View) -> None:
        """Add a frame.

        :raises InvalidImageError: it has no depth.
        """
        if view.depth is None:
            raise InvalidImageError("the frame has no depth: a TSDF needs that of a sensor")
        image = self._o3d.t.geometry.Image
        depth = np.ascontiguousarray(torch.nan_to_num(view.depth, nan=0.0, posinf=0.0).numpy())
        color = image(self._tensor(view.image.numpy().astype(np.float32) / 255))
        depth = image(self._tensor(depth))
        # It rounds pixels down where it integrates, and casts rays through whole numbers: centres at +0.5, then at 0.
        K, T = self._tensor(view.camera.K.numpy()), self._T_camera_world(view.T_world_camera)
        blocks = self._grid.compute_unique_block_coordinates(depth, K, T, 1.0, self.far_m, _BAND)
        self._grid.integrate(blocks, depth, color, K, K, T, 1.0, self.far_m, _BAND)

    def make_room(self, target: Target) -> None:
        """Let Open3D's buffers grow to what :meth:`ray_cast` needs at a pose: parts are left out until they have."""
        before = self.ray_cast(target)
        for _ in range(_MOST_CASTS):
            now = self.ray_cast(target)
            if torch.equal(now.image, before.image):
                return
            before = now

    def ray_cast(self, target: Target) -> Projection:
        """Return what the volume shows at a pose; nothing where no ray meets a surface that it knows."""
        camera = target.camera
        K, T = self._tensor(camera.K_opencv.numpy()), self._T_camera_world(target.T_world_camera)
        table = self._grid.hashmap()
        blocks = table.key_tensor()[table.active_buf_indices().to(self._o3d.core.int64)]
        # It warns where it leaves parts out, see make_room.
        with self._o3d.utility.VerbosityContextManager(self._o3d.utility.VerbosityLevel.Error):
            cast = self._grid.ray_cast(
                blocks, K, T, camera.width, camera.height, ["depth", "color"], 1.0, _NEAR_M, self.far_m, _LEAST_FRAMES,
                _BAND,
            )  # fmt: skip
        depth = torch.from_numpy(cast["depth"].numpy()[..., 0].copy())
        color = torch.from_numpy(cast["color"].numpy()).mul(255).round().clamp(0, 255).to(torch.uint8)
        seen = depth > 0
        return Projection(
            image=color * seen[..., None],
            depth=torch.where(seen, depth, torch.nan),
            seen=seen,
            ids=torch.full(camera.size, -1),
            confidence=seen.to(torch.float32),
        )

    def _T_camera_world(self, T_world_camera: Tensor) -> Any:
        return self._tensor(invert(T_world_camera).cpu().numpy())

    def _tensor(self, values: np.ndarray) -> Any:
        return self._o3d.core.Tensor(np.ascontiguousarray(values))
