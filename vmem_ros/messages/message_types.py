"""The message classes of one ROS library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class MessageTypes:
    """The message classes of one ROS library, and the arrays that their fields take.

    :param find: returns a class by its name, such as ``sensor_msgs/msg/Image``.
    :param array: returns a flat, contiguous NumPy array in the form that the library takes as one block. rclpy copies
        anything but an ``array.array`` element by element, up to a thousand times slower; rosbags takes NumPy alone.
    """

    find: Callable[[str], Any]
    array: Callable[[NDArray], Any]

    @classmethod
    def of_rosbags(cls, store: Any) -> MessageTypes:
        """Return the classes of a type store of rosbags."""
        return cls(store.types.__getitem__, lambda values: values)

    def make(self, name: str, /, **fields: Any) -> Any:
        """Return a message by the name of its class."""
        return self.find(name)(**fields)

    def bytes_of(self, values: Tensor | NDArray) -> Any:
        """Return the bytes of a tensor or array, row after row, as the field of a message."""
        values = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
        return self.array(np.ascontiguousarray(values).reshape(-1).view(np.uint8))
