"""What the latest paths have shown, so that a plan that comes anew goes on where the one before it was."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.geometry import geodesic_distance
from vmem_ros.nodes.camera.requests import Request
from vmem_ros.types import Target

# In steps of the sampling: no point of a path is farther from one of its own samples than half a step.
_SAME, _SAME_END, _ON_THE_PATH = 0.5 + 1e-6, 0.02, 1.0


class ShownPlaces:
    """Leaves out of a path what the paths before it have shown. Belongs to the worker's thread.

    Only places that lie on the newest path are kept in mind: a robot that comes back later sees them again.
    """

    def __init__(self) -> None:
        self._poses: list[Tensor] = []
        self._last: Request | None = None
        self._journey = -1

    def forget(self) -> None:
        """Forget everything: views were taken back. Those that memory lost because it is full have been shown."""
        self._poses, self._last = [], None

    def begin(
        self, request: Request, journey: int, distance_m: float, angle_rad: float, targets: Sequence[Target]
    ) -> Sequence[Target]:
        """Return the targets of a request that begins now that are still to be shown; its last one is shown exactly.

        :param journey: another number than before forgets everything.
        :param targets: samples of a path, at most ``distance_m`` and ``angle_rad`` apart.
        """
        if self._last is not None:
            self._poses += [t.T_world_camera for t in self._last.targets[: len(self._last.stamps_ns)]]
        if journey != self._journey:
            self._poses = []
        self._last, self._journey = request, journey
        if not self._poses:
            return targets
        path, shown = torch.stack([t.T_world_camera for t in targets]), torch.stack(self._poses)
        steps = _steps_between(path, shown, distance_m, angle_rad)
        self._poses = [T for T, near in zip(self._poses, steps.amin(dim=0) <= _ON_THE_PATH, strict=True) if near]
        limits = torch.full((len(path),), _SAME, dtype=steps.dtype)
        limits[-1] = _SAME_END
        return [t for t, is_new in zip(targets, steps.amin(dim=1) > limits, strict=True) if is_new]


def _steps_between(A: Tensor, B: Tensor, distance_m: float, angle_rad: float) -> Tensor:
    """Return [N, M], how many steps of the sampling lie between poses [N, 4, 4] and [M, 4, 4]."""
    metres = torch.linalg.vector_norm(A[:, None, :3, 3] - B[None, :, :3, 3], dim=-1)
    angles = geodesic_distance(A[:, None], B[None], translation_weight=0.0)
    return torch.maximum(metres / distance_m, angles / angle_rad)
