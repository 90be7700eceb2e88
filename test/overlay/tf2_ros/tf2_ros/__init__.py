"""A stand-in for tf2_ros, which is not among the ROS 2 wheels: what a node uses of its buffer, behaving as tf2 does.

Tests put this folder on the path of a node's process. A full ROS 2 installation has the real package, which they use
there. Nothing here is shared with vmem_ros, so that the two can be compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from geometry_msgs.msg import TransformStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from scipy.spatial.transform import Rotation, Slerp
from tf2_msgs.msg import TFMessage

_CACHE_NS = 10_000_000_000
_UNIT_TOLERANCE = 10e-3


class TransformException(Exception):
    """Base of all errors of a look-up."""


class LookupException(TransformException):
    """A frame was never heard of."""


class ConnectivityException(TransformException):
    """The frames belong to different trees."""


class ExtrapolationException(TransformException):
    """The time lies outside of what is stored."""


class InvalidArgumentException(TransformException):
    """A frame without a name, or one that begins with a slash."""


@dataclass(frozen=True)
class _Sample:
    """Where a child was in its parent at a time in nanoseconds."""

    stamp_ns: int
    parent: str
    translation: np.ndarray
    rotation: Rotation


@dataclass
class _Frame:
    """The samples of one child by time; a static one keeps the newest alone, valid at any time."""

    static: bool
    samples: list[_Sample] = field(default_factory=list)

    def insert(self, sample: _Sample) -> None:
        """Store a sample, unless it is older than the cache is long, or of a time that is stored already."""
        if self.static:
            self.samples = [sample]
            return
        stamps = [s.stamp_ns for s in self.samples]
        if (stamps and sample.stamp_ns < stamps[-1] - _CACHE_NS) or sample.stamp_ns in stamps:
            return
        self.samples = sorted([*self.samples, sample], key=lambda s: s.stamp_ns)
        newest = self.samples[-1].stamp_ns
        self.samples = [s for s in self.samples if s.stamp_ns >= newest - _CACHE_NS]

    def at(self, stamp_ns: int) -> _Sample:
        """Return the sample of a time, interpolated; 0: the newest."""
        if self.static or stamp_ns == 0:
            return self.samples[-1]
        stamps = [s.stamp_ns for s in self.samples]
        if not stamps[0] <= stamp_ns <= stamps[-1]:
            where = "past" if stamp_ns < stamps[0] else "future"
            known = f"samples reach from {stamps[0]} to {stamps[-1]}"
            raise ExtrapolationException(f"extrapolation into the {where}: {stamp_ns} is asked for, {known}")
        after = int(np.searchsorted(stamps, stamp_ns))
        if stamps[after] == stamp_ns or self.samples[after].parent != self.samples[after - 1].parent:
            return self.samples[after]
        a, b = self.samples[after - 1], self.samples[after]
        share = (stamp_ns - a.stamp_ns) / (b.stamp_ns - a.stamp_ns)
        turn = Slerp([0, 1], Rotation.concatenate([a.rotation, b.rotation]))(share)
        return _Sample(stamp_ns, a.parent, (1 - share) * a.translation + share * b.translation, turn)


class Buffer:
    """Transforms of the last ten seconds."""

    def __init__(self, cache_time: Duration | None = None, node: Node | None = None) -> None:
        assert cache_time is None, "the stand-in keeps ten seconds"
        self._frames: dict[str, _Frame] = {}
        self._names: set[str] = set()

    def set_transform(self, transform: TransformStamped, authority: str) -> None:
        """Take a transform that may change."""
        self._take(transform, static=False)

    def set_transform_static(self, transform: TransformStamped, authority: str) -> None:
        """Take a transform that holds for all time."""
        self._take(transform, static=True)

    def lookup_transform(
        self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None
    ) -> TransformStamped:
        """Return what takes points of the source into the target; time 0: the newest that all frames share."""
        assert timeout is None, "the stand-in does not wait"
        for name in (target_frame, source_frame):
            if not name or name.startswith("/"):
                raise InvalidArgumentException(f"invalid frame id {name!r}")
            if name not in self._names:
                raise LookupException(f'"{name}" does not exist')
        stamp_ns = time.nanoseconds or self._latest_common_ns(target_frame, source_frame)
        errors: list[TransformException] = []
        up, down = (self._ancestors(frame, stamp_ns, errors) for frame in (source_frame, target_frame))
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            errors.append(ConnectivityException(f"{source_frame!r} and {target_frame!r} are not part of the same tree"))
            raise errors[0]
        (p, R), (q, Q) = up[common], down[common]
        return _as_message(target_frame, source_frame, stamp_ns, Q.inv().apply(p - q), Q.inv() * R)

    def can_transform(self, target_frame: str, source_frame: str, time: Time, timeout: Duration | None = None) -> bool:
        """Tell whether a look-up would succeed."""
        try:
            self.lookup_transform(target_frame, source_frame, time, timeout)
        except TransformException:
            return False
        return True

    def clear(self) -> None:
        """Forget every sample but the static ones; names stay known."""
        self._frames = {name: frame for name, frame in self._frames.items() if frame.static}

    def _take(self, transform: TransformStamped, *, static: bool) -> None:
        """Store a transform that makes sense, and ignore any other."""
        parent, child = (name.removeprefix("/") for name in (transform.header.frame_id, transform.child_frame_id))
        t, q = transform.transform.translation, transform.transform.rotation
        numbers = [t.x, t.y, t.z, q.x, q.y, q.z, q.w]
        if not parent or not child or parent == child or not all(map(math.isfinite, numbers)):
            return
        if abs(sum(x * x for x in numbers[3:]) - 1) > _UNIT_TOLERANCE:
            return
        self._names |= {parent, child}
        stamp_ns = Time.from_msg(transform.header.stamp).nanoseconds
        frame = self._frames.setdefault(child, _Frame(static))
        frame.insert(_Sample(stamp_ns, parent, np.array(numbers[:3]), Rotation.from_quat(numbers[3:])))

    def _latest_common_ns(self, target: str, source: str) -> int:
        """Return the latest time at which every moving frame between two has a sample, 0 if none moves."""
        up, down = (self._ancestors(frame, 0, []) for frame in (source, target))
        shared = set(up) & set(down)
        between = [frame for frame in (*up, *down) if frame not in shared]
        moving = [self._frames[name] for name in between if not self._frames[name].static]
        return min((frame.samples[-1].stamp_ns for frame in moving), default=0)

    def _ancestors(
        self, frame: str, stamp_ns: int, errors: list[TransformException]
    ) -> dict[str, tuple[np.ndarray, Rotation]]:
        """Return a frame and its ancestors, each with where the frame is in it.

        An ancestor that is not known at that time ends the chain: the frames may meet below it. The error is kept.
        """
        position, rotation = np.zeros(3), Rotation.identity()
        out = {frame: (position, rotation)}
        while frame in self._frames:
            try:
                sample = self._frames[frame].at(stamp_ns)
            except ExtrapolationException as error:
                errors.append(error)
                break
            position = sample.rotation.apply(position) + sample.translation
            rotation, frame = sample.rotation * rotation, sample.parent
            out[frame] = (position, rotation)
        return out


class TransformListener:
    """Fills a buffer from /tf and /tf_static."""

    def __init__(self, buffer: Buffer, node: Node, *, spin_thread: bool = False) -> None:
        assert not spin_thread, "the stand-in is spun with its node"
        self._buffer = buffer
        group = ReentrantCallbackGroup()
        latched = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(TFMessage, "/tf", self._on_dynamic, QoSProfile(depth=100), callback_group=group)
        node.create_subscription(TFMessage, "/tf_static", self._on_static, latched, callback_group=group)

    def _on_dynamic(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self._buffer.set_transform(transform, "default_authority")

    def _on_static(self, message: TFMessage) -> None:
        for transform in message.transforms:
            self._buffer.set_transform_static(transform, "default_authority")


def _as_message(target: str, source: str, stamp_ns: int, position: np.ndarray, rotation: Rotation) -> TransformStamped:
    out = TransformStamped(child_frame_id=source)
    out.header.frame_id, out.header.stamp = target, Time(nanoseconds=stamp_ns).to_msg()
    t, q = out.transform.translation, out.transform.rotation
    t.x, t.y, t.z = map(float, position)
    q.x, q.y, q.z, q.w = map(float, rotation.as_quat())
    return out
