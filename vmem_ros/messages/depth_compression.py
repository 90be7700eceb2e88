"""Depth as a ``sensor_msgs/msg/CompressedImage``, as image_transport's compressed_depth_image_transport writes it.

:mod:`~vmem_ros.messages.compressed_images` reads it.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.messages.compressed_images import COMPRESSED_DEPTH_HEAD
from vmem_ros.messages.message_types import MessageTypes

# Of that plug-in's depth_quantization of 100: z0 (z0 + 1).
_FINEST_A = 100.0 * 101.0
_LARGEST = 65535


def compressed_depth_to_message(types: MessageTypes, depth: Tensor | NDArray, head: Any) -> Any:
    """Return float32 [H, W] metres as ``32FC1; compressedDepth png``.

    Pixels hold inverse depth in 16 bits, ``a / depth + b``, with a and b in the head. a is 10100, as there, which is
    off by at most ``depth**2 / 2a`` (5 cm at 32 m), and less only where a pixel is nearer than 15 cm; b makes the
    farthest pixel 1, so that no largest depth has to be chosen. 0 is unknown, and also what was looked at and is empty
    (+Inf), for which the format has no value.
    """
    metres = depth.detach().cpu().numpy() if isinstance(depth, Tensor) else depth
    known = np.isfinite(metres) & (metres > 0)
    near, far = (float(metres[known].min()), float(metres[known].max())) if known.any() else (1.0, 1.0)
    span = 1 / near - 1 / far
    a = min(_FINEST_A, (_LARGEST - 1) / span) if span > 0 else _FINEST_A
    b = 1 - a / far
    units = np.zeros(metres.shape, np.uint16)
    units[known] = np.rint(a / metres[known].astype(np.float64) + b)
    start = np.array([(0, a, b)], COMPRESSED_DEPTH_HEAD).view(np.uint8)
    _, png = cv2.imencode(".png", units)  # any level of compression takes several times as long, and saves a quarter
    return types.make(
        "sensor_msgs/msg/CompressedImage",
        header=head,
        format="32FC1; compressedDepth png",
        data=types.bytes_of(np.concatenate([start, png.reshape(-1)])),
    )
