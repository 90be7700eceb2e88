"""Masks: images of one channel that say yes where they are not 0, as segmentation nodes send them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.image_rows import rows_of
from vmem_ros.messages.message_types import MessageTypes

#: Encodings that are read, with their NumPy types: of 8 bits, and numbers of objects.
MASK_ENCODINGS = {"mono8": "u1", "8UC1": "u1", "mono16": "u2", "16UC1": "u2", "32SC1": "i4"}


def mask_from_message(message: Any) -> NDArray[np.bool_]:
    """Return [H, W] bool of a ``sensor_msgs/msg/Image``: true where it is not 0.

    :raises InvalidImageError: an encoding that is not read, truncated, or empty.
    """
    if message.encoding not in MASK_ENCODINGS:
        raise InvalidImageError(f"masks must be {', '.join(MASK_ENCODINGS)}, got {message.encoding!r}")
    return np.asarray(rows_of(message, MASK_ENCODINGS[message.encoding], message.width) != 0)


def mask_to_message(types: MessageTypes, mask: Tensor | NDArray[np.bool_], head: Any) -> Any:
    """Return [H, W] bool as a ``sensor_msgs/msg/Image``, ``mono8``: 255 where it is true."""
    values = mask.detach().cpu().numpy() if isinstance(mask, Tensor) else mask
    height, width = values.shape
    return types.make(
        "sensor_msgs/msg/Image",
        header=head,
        height=height,
        width=width,
        encoding="mono8",
        is_bigendian=0,
        step=width,
        data=types.bytes_of(np.ascontiguousarray(values).astype(np.uint8) * np.uint8(255)),
    )
