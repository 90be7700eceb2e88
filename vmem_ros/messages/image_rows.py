"""The bytes of a ``sensor_msgs/msg/Image`` as an array: steps, byte orders, and what malformed messages are told."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.encodings import COLOR_ENCODINGS


def picture_size(message: Any) -> tuple[int, int]:
    """Return width and height of the picture, from the head of a message alone.

    They are those of the message, but for planes (nv12, nv21) whose drivers count the rows of colour, too.

    :raises InvalidImageError: nothing in it.
    """
    width, height = message.width, message.height
    if height < 1 or width < 1:
        raise InvalidImageError(f"the image is empty: {width} x {height}")
    encoding = COLOR_ENCODINGS.get(message.encoding)
    if encoding is not None and encoding.planes and len(message.data) == message.step * height:
        height = height * 2 // 3 if encoding.planes == "4:2:0" else height // 3
    return width, height


def rows_of(message: Any, dtype: str, samples: int, *, rows: int | None = None) -> NDArray:
    """Return [rows, samples] of the machine's byte order; the result may alias the message.

    :param dtype: of a sample, without byte order.
    :param samples: in a row, which the message may pad.
    :param rows: how many there are; ``None``: one for each row of the picture.
    :raises InvalidImageError: rows that are too short, or data of another length.
    """
    width, height = picture_size(message)
    rows = height if rows is None else rows
    kind, step = np.dtype(dtype), message.step
    row = samples * kind.itemsize
    if step < row:
        raise InvalidImageError(f"step is {step} bytes, but {width} pixels of {message.encoding} need {row}")
    if len(message.data) != step * rows:
        raise InvalidImageError(
            f"data has {len(message.data)} bytes, but {rows} rows of {step} make {step * rows}: truncated?"
        )
    packed = np.frombuffer(message.data, np.uint8).reshape(rows, step)[:, :row]
    values = np.ascontiguousarray(packed).view(kind.newbyteorder(">" if message.is_bigendian else "<"))
    return values.astype(kind, copy=False)
