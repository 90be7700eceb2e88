"""Pictures as a real camera takes them: exposure and white balance drift, sensors are noisy, motion blurs."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.recordings.smooth_noise import smooth_noise

# Pixels hold about this power of the light, so that twice the exposure is less than twice the value.
_GAMMA = 1 / 2.2
_BLUR_SAMPLES = 9


class CameraNoise:
    """The automatic exposure, white balance and noise of a camera along a walk.

    :param frames: of the walk.
    :param exposure_ev: standard deviation of the exposure in stops.
    :param balance: standard deviation of the gains of red and blue, relative.
    :param noise: standard deviation of a pixel in levels of 255 at mid-gray; darker pixels have less.
    :param correlation_frames: over so many frames exposure and balance are alike.
    """

    def __init__(
        self,
        frames: int,
        *,
        exposure_ev: float = 0.15,
        balance: float = 0.03,
        noise: float = 2.0,
        correlation_frames: float = 15.0,
        rng: np.random.Generator,
    ) -> None:
        drift = smooth_noise((frames, 3), over=correlation_frames, axes=(0,), rng=rng)
        balanced = 1 + balance * drift[:, 1:]
        #: [N, 3] what red, green and blue are multiplied by, before what is brighter than white is cut off.
        self.gains = 2 ** (exposure_ev * drift[:, :1] * _GAMMA) * np.insert(balanced, 1, 1.0, axis=1)
        self._noise = noise
        self._rng = rng

    def apply(self, image: Tensor, frame: int) -> Tensor:
        """Return [H, W, 3] uint8 as the camera would have stored it at a frame."""
        values = image.numpy().astype(np.float64) * self.gains[frame]
        values += self._rng.normal(size=values.shape) * self._noise * np.sqrt(values.clip(min=1) / 128)
        return torch.from_numpy(values.round().clip(0, 255).astype(np.uint8))


def motion_blur(image: Tensor, camera: Camera, rotations: Sequence[NDArray[np.float64]], shutter: float) -> Tensor:
    """Return [H, W, 3] uint8 as the turning of a camera smears it; moving blurs little beside that, and is left out.

    :param rotations: three rotations [3, 3] of the camera in the world: at the frame before, at this one, at the next.
    :param shutter: share of the time between frames for which light is gathered, 0 to 1.
    """
    if shutter <= 0:
        return image
    between = Slerp([-1.0, 0.0, 1.0], Rotation.from_matrix(np.stack(rotations)))
    K, total = camera.K_opencv.numpy(), np.zeros(image.shape)
    for when in np.linspace(-shutter / 2, shutter / 2, _BLUR_SAMPLES):
        turned = between(0.0).inv() * between(when)
        homography = K @ turned.as_matrix() @ np.linalg.inv(K)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        size = (camera.width, camera.height)
        total += cv2.warpPerspective(image.numpy(), homography, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return torch.from_numpy((total / _BLUR_SAMPLES).round().astype(np.uint8))
