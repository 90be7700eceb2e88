"""Point clouds: records of float32 fields, colours packed as PCL and RViz read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.message_types import MessageTypes
from vmem_ros.types import Elements

_POSITION, _NORMAL = ("x", "y", "z"), ("normal_x", "normal_y", "normal_z")
# PointField.FLOAT32
_FLOAT32 = 7


def elements_to_message(types: MessageTypes, elements: Elements, head: Any) -> Any:
    """Return elements of a memory as a ``sensor_msgs/msg/PointCloud2``: x y z rgb, and what they have of the rest.

    Surfels have all of it, normal_x normal_y normal_z radius: 32 bytes each.
    """
    columns = [*_POSITION, "rgb"]
    values = [elements.position, _packed_rgb(elements.color)]
    if elements.normal is not None:
        columns += _NORMAL
        values.append(elements.normal)
    if elements.radius is not None:
        columns.append("radius")
        values.append(elements.radius[:, None])
    return _to_message(types, columns, values, head)


def points_to_message(types: MessageTypes, points: Tensor, color: Tensor, confidence: Tensor, head: Any) -> Any:
    """Return points as a ``sensor_msgs/msg/PointCloud2``: x y z rgb intensity, 20 bytes each.

    :param points: [N, 3] metres in the frame of the header.
    :param color: [N, 3] uint8.
    :param confidence: [N], the intensity.
    """
    return _to_message(types, [*_POSITION, "rgb", "intensity"], [points, _packed_rgb(color), confidence[:, None]], head)


def elements_from_message(message: Any) -> Elements:
    """Return the elements of a memory behind :func:`elements_to_message`.

    :raises InvalidImageError: see :func:`cloud_from_message`; or position or colour is missing.
    """
    cloud = cloud_from_message(message)
    missing = [name for name in (*_POSITION, "rgb") if name not in cloud]
    if missing:
        raise InvalidImageError(f"the cloud has no {', '.join(missing)}, only {', '.join(cloud)}")
    return Elements(
        position=_stacked(cloud, _POSITION),
        color=torch.from_numpy(cloud["rgb"]),
        normal=_stacked(cloud, _NORMAL) if set(_NORMAL) <= cloud.keys() else None,
        radius=torch.from_numpy(cloud["radius"]) if "radius" in cloud else None,
    )


def cloud_from_message(message: Any) -> dict[str, NDArray]:
    """Return the fields of a cloud of 32-bit fields by name, [N] each; ``rgb`` as uint8 [N, 3].

    :raises InvalidImageError: truncated data or other field types.
    """
    if message.is_bigendian or any(f.datatype != _FLOAT32 or f.count != 1 for f in message.fields):
        raise InvalidImageError("only little-endian clouds of FLOAT32 fields are read")
    count = message.width * message.height
    if len(message.data) != count * message.point_step:
        raise InvalidImageError(f"data has {len(message.data)} bytes, {count} points need {count * message.point_step}")
    dtype = np.dtype(
        {
            "names": [f.name for f in message.fields],
            "formats": ["<f4"] * len(message.fields),
            "offsets": [f.offset for f in message.fields],
            "itemsize": message.point_step,
        }
    )
    records = np.frombuffer(message.data, dtype)
    out: dict[str, NDArray] = {name: records[name].copy() for name in records.dtype.names or ()}
    if "rgb" in out:
        out["rgb"] = unpacked_rgb(out["rgb"])
    return out


def unpacked_rgb(packed: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return [N, 3] of the [N] float32 in which PCL and RViz keep three bytes, blue first."""
    return np.ascontiguousarray(packed).view(np.uint8).reshape(-1, 4)[:, 2::-1].copy()


def _packed_rgb(color: Tensor) -> Tensor:
    """Return [N, 1] float32 whose four bytes are b, g, r, 0: what PCL and RViz read as ``rgb``."""
    packed = torch.zeros(len(color), 4, dtype=torch.uint8, device=color.device)
    packed[:, :3] = color.detach().flip(-1)
    return packed.view(torch.float32)


def _stacked(cloud: Mapping[str, NDArray], names: Sequence[str]) -> Tensor:
    return torch.from_numpy(np.stack([cloud[name] for name in names], axis=-1))


def _to_message(types: MessageTypes, names: list[str], columns: list[Tensor], head: Any) -> Any:
    records = torch.cat([column.detach().to(torch.float32) for column in columns], dim=1)
    fields = [
        types.make("sensor_msgs/msg/PointField", name=name, offset=4 * i, datatype=_FLOAT32, count=1)
        for i, name in enumerate(names)
    ]
    step = 4 * len(names)
    return types.make(
        "sensor_msgs/msg/PointCloud2",
        header=head,
        height=1,
        width=len(records),
        fields=fields,
        is_bigendian=False,
        point_step=step,
        row_step=step * len(records),
        data=types.bytes_of(records),
        is_dense=True,
    )
