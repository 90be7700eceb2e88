"""Classifier-free guidance of a set of views: how strongly, for which frames, and at which noise levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.errors import ModelError
from vmem_ros.geometry import geodesic_distance

_NEAR_ANGLE_RAD = math.radians(10)
_NEAR_DISTANCE = 1e-5
# Published intrinsics must be equal in float32; this is less than its rounding and more than float64's.
_NEAR_K = 1e-9


def guidance_scales(
    T_world_camera: Tensor, K: Tensor, given: Tensor, *, scale: float | Tensor = 2.0, minimum: float = 1.2
) -> Tensor:
    """Return the guidance scale of each frame: the multi-view rule of the published sampler.

    Given frames, and frames near a given camera, know what they shall look like; strong guidance would only
    oversaturate them. A frame is near where the smallest rotation to any given camera is under 10 degrees, the smallest
    distance under 1e-5 and intrinsics equal some given camera's; as published, each of the three may be another camera.

    :param T_world_camera: [N, 4, 4] normalised poses (:func:`~vmem_ros.generation.vmem.conditioning.normalise_poses`).
    :param K: [N, 3, 3] intrinsics, divided by the image size.
    :param given: [N] bool, the frames whose images are given.
    :param scale: of all other frames, one number or [N].
    :param minimum: of given and near frames; never raises a ``scale`` that is lower.
    :returns: [N] float32.
    """
    poses, intrinsics = T_world_camera.double(), K.double()
    references = poses[given]
    angle = geodesic_distance(poses[:, None], references[None], translation_weight=0.0)
    distance = torch.linalg.vector_norm(poses[:, None, :3, 3] - references[None, :, :3, 3], dim=-1)
    unequal = (intrinsics[:, None] - intrinsics[given][None]).abs().amax(dim=(-2, -1))
    near = (
        (angle.amin(dim=1) < _NEAR_ANGLE_RAD)
        & (distance.amin(dim=1) < _NEAR_DISTANCE)
        & (unequal.amin(dim=1) < _NEAR_K)
    )
    scales = torch.as_tensor(scale, dtype=torch.float32, device=poses.device).expand(len(poses))
    return torch.where(given | near, scales.clamp(max=minimum), scales)


def guide(unconditional: Tensor, conditional: Tensor, scales: Tensor) -> Tensor:
    """Return ``unconditional + scale * (conditional - unconditional)`` for estimates of the *clean* latents.

    The published sampler guides these, not the noise: for given frames, where the conditional half sees clean latents
    and the unconditional half the running noisy ones, the two differ.

    :param unconditional: [N, C, h, w]; ``conditional`` likewise.
    :param scales: [N].
    """
    weight = scales.to(conditional).view(-1, *(1,) * (conditional.ndim - 1))
    return unconditional + weight * (conditional - unconditional)


@dataclass(frozen=True)
class GuidanceInterval:
    """Noise levels at which guidance acts; outside, the conditional estimate alone is used, at half the cost.

    Guidance harms at high noise and does nothing visible at low noise (Kynkaanniemi et al., arXiv 2404.07724).

    :param low: smallest sigma with guidance, as in ``clean + sigma * noise``.
    :param high: largest sigma with guidance.
    :raises ModelError: not numbers with 0 <= low <= high.
    """

    low: float = 0.0
    high: float = math.inf

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ModelError(
                f"guidance_interval must be (low, high) noise levels with 0 <= low <= high, got ({self.low:g}, "
                f"{self.high:g}); None guides at every level"
            )

    def __contains__(self, sigma: float) -> bool:
        return self.low <= sigma <= self.high
