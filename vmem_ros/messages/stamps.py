"""Times and headers."""

from __future__ import annotations

from typing import Any

from vmem_ros.messages.message_types import MessageTypes


def stamp_to_ns(stamp: Any) -> int:
    """Return a ``builtin_interfaces/msg/Time`` in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def ns_to_stamp(types: MessageTypes, stamp_ns: int) -> Any:
    """Return nanoseconds as a ``builtin_interfaces/msg/Time``."""
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return types.make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)


def header(types: MessageTypes, frame_id: str, stamp_ns: int) -> Any:
    """Return a ``std_msgs/msg/Header``."""
    return types.make("std_msgs/msg/Header", frame_id=frame_id, stamp=ns_to_stamp(types, stamp_ns))
