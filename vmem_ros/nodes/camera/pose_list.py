"""Many poses at once, read from the bytes of a message: rclpy makes ten objects of each, in the executor's thread."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from vmem_ros.errors import InvalidPoseError
from vmem_ros.geometry import checked_pose

_NORM_TOLERANCE = 1e-3
# In bytes: the encapsulation before the data; a stamp and the length of a name; seven doubles.
_BEFORE, _HEAD, _NUMBERS = 4, 12, 56


@dataclass(frozen=True, eq=False)
class PoseList:
    """N stamped poses.

    :param frame_ids: [N].
    :param stamps_ns: [N].
    :param positions: [N, 3] in metres.
    :param quaternions_xyzw: [N, 4].
    """

    frame_ids: list[str]
    stamps_ns: list[int]
    positions: NDArray[np.float64]
    quaternions_xyzw: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.positions)

    def transforms(self) -> Tensor:
        """Return [N, 4, 4] float64, each in its own frame.

        :raises InvalidPoseError: which is the first that is none, and why.
        """
        norms = np.linalg.norm(self.quaternions_xyzw, axis=1)
        good = np.isfinite(self.positions).all(axis=1) & (np.abs(norms - 1) <= _NORM_TOLERANCE)
        if not good.all():
            first = int(good.argmin())
            try:
                checked_pose(self.positions[first], self.quaternions_xyzw[first])
            except InvalidPoseError as error:
                raise InvalidPoseError(f"pose {first + 1} of {len(self)}: {error}") from error
        T = torch.eye(4, dtype=torch.float64).repeat(len(self), 1, 1)
        T[:, :3, :3] = torch.from_numpy(Rotation.from_quat(self.quaternions_xyzw).as_matrix())
        T[:, :3, 3] = torch.from_numpy(self.positions)
        return T

    def groups(self) -> Iterator[tuple[str, int, list[int] | slice]]:
        """Yield each frame and stamp with what selects its poses."""
        if len(set(self.frame_ids)) == 1 and len(set(self.stamps_ns)) == 1:
            yield self.frame_ids[0], self.stamps_ns[0], slice(None)
            return
        found: dict[tuple[str, int], list[int]] = {}
        for number, key in enumerate(zip(self.frame_ids, self.stamps_ns, strict=True)):
            found.setdefault(key, []).append(number)
        for (frame_id, stamp_ns), numbers in found.items():
            yield frame_id, stamp_ns, numbers


def path_from_bytes(data: bytes) -> PoseList:
    """Return the poses of a serialised ``nav_msgs/msg/Path``; those without a frame have that of the path.

    :raises InvalidPoseError: the bytes are no path.
    """
    try:
        return _read_path(data)
    except (struct.error, ValueError) as error:
        raise InvalidPoseError(f"the message of {len(data)} bytes is no nav_msgs/msg/Path: {error}") from error


def _read_path(data: bytes) -> PoseList:
    if data[:2] not in (b"\x00\x00", b"\x00\x01"):
        raise ValueError(f"its encoding {data[:2].hex()} is not plain CDR")
    order = "<" if data[1] else ">"
    view = memoryview(data)[_BEFORE:]
    length = struct.unpack_from(f"{order}I", view, 8)[0]
    frame = _name(view, _HEAD, length)
    at = _aligned(_HEAD + length, 4)
    count, at = struct.unpack_from(f"{order}I", view, at)[0], at + 4
    if count * (_HEAD + _NUMBERS) > len(view) - at:
        raise ValueError(f"it ends before its {count} poses do")
    read = _read_poses(view, at, count, order) if count else PoseList([], [], np.empty((0, 3)), np.empty((0, 4)))
    return PoseList([each or frame for each in read.frame_ids], read.stamps_ns, read.positions, read.quaternions_xyzw)


def _read_poses(view: memoryview, at: int, count: int, order: str) -> PoseList:
    """Return poses that all have a name of one length, as nearly all do, or else those of :func:`_read_any_poses`."""
    seconds, nanoseconds, length = struct.unpack_from(f"{order}iII", view, at)
    name = bytes(view[at + _HEAD : at + _HEAD + length])
    numbers = _aligned(at + _HEAD + length, 8)
    head = _aligned(_HEAD + length, 8)
    if numbers + _NUMBERS + (count - 1) * (head + _NUMBERS) != len(view):
        return _read_any_poses(view, at, count, order)
    row = np.dtype(
        {
            "names": ["s", "ns", "length", "name", "pose"],
            "formats": [f"{order}i4", f"{order}u4", f"{order}u4", f"V{length}", (f"{order}f8", 7)],
            "offsets": [0, 4, 8, _HEAD, head],
            "itemsize": head + _NUMBERS,
        }
    )
    rows = np.ndarray((count,), row, buffer=view, offset=numbers - head)
    later = rows[1:]  # before the first, the gap may be another
    names = np.frombuffer(later["name"].tobytes(), np.uint8).reshape(count - 1, length)
    if (later["length"] != length).any() or (names != np.frombuffer(name, np.uint8)).any():
        return _read_any_poses(view, at, count, order)
    stamps = rows["s"].astype(np.int64) * 1_000_000_000 + rows["ns"]
    stamps[0] = seconds * 1_000_000_000 + nanoseconds
    poses = rows["pose"].astype(np.float64)
    return PoseList([_name(view, at + _HEAD, length)] * count, stamps.tolist(), poses[:, :3], poses[:, 3:])


def _read_any_poses(view: memoryview, at: int, count: int, order: str) -> PoseList:
    names, stamps, poses = [], [], np.empty((count, 7))
    for number in range(count):
        seconds, nanoseconds, length = struct.unpack_from(f"{order}iII", view, at)
        names.append(_name(view, at + _HEAD, length))
        stamps.append(seconds * 1_000_000_000 + nanoseconds)
        at = _aligned(at + _HEAD + length, 8)
        poses[number] = struct.unpack_from(f"{order}7d", view, at)
        at += _NUMBERS
    return PoseList(names, stamps, poses[:, :3], poses[:, 3:])


def _name(view: memoryview, at: int, length: int) -> str:
    if length > len(view) - at:
        raise ValueError("it ends within a name")
    return bytes(view[at : at + length]).rstrip(b"\x00").decode(errors="replace")


def _aligned(at: int, size: int) -> int:
    return -(-at // size) * size
