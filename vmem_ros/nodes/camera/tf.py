"""Coordinate frames in ROS: the camera's own frames on /tf, and poses in frames that others publish.

``tf2_msgs`` and ``tf2_ros`` come with a ROS installation but not with the package index. Without ``tf2_msgs`` the node
runs, publishes no frames, and takes poses in the world frame only; it says so in its log and in /diagnostics. With
``tf2_ros`` its buffer answers look-ups, otherwise :class:`~vmem_ros.geometry.transform_tree.TransformTree`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any, Protocol

import torch
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.task import Future
from rclpy.time import Time
from torch import Tensor

from vmem_ros.errors import FrameError, InvalidPoseError
from vmem_ros.geometry.transform_tree import TransformTree
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import T_LINK_OPTICAL, transform_from_message
from vmem_ros.nodes.camera.inputs import Problem
from vmem_ros.nodes.interface.frame_names import FrameNames
from vmem_ros.nodes.interface.rclpy_messages import header, transform_to_message

try:
    from tf2_msgs.msg import TFMessage
except ImportError:
    TFMessage = None
try:
    import tf2_ros
except ImportError:
    tf2_ros = None

#: Whether transforms can be sent and heard at all.
TF_INSTALLED = TFMessage is not None

_DYNAMIC_QOS = QoSProfile(depth=100)
_STATIC_QOS = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_POLL_S = 0.02
# How long a transform that is none counts as a problem.
_RECENT_S = 5.0


class FrameBroadcaster:
    """Publishes the camera's frames; silent where it is switched off or ``tf2_msgs`` is missing."""

    def __init__(self, node: Node, names: FrameNames, *, enabled: bool) -> None:
        self._node = node
        self._names = names
        self._dynamic = self._static = None
        self._fixed_stamps_ns: list[int] = []
        self._newest: dict[str, tuple[int, Tensor]] = {}
        self._rivals: set[str] = set()
        if enabled and TFMessage is not None:
            self._dynamic = node.create_publisher(TFMessage, "/tf", _DYNAMIC_QOS)
            self._static = node.create_publisher(TFMessage, "/tf_static", _STATIC_QOS)
            node.create_subscription(TFMessage, "/tf_static", self._on_static, _STATIC_QOS)

    def send_fixed(self, stamp_ns: int) -> None:
        """Announce where the optical frame sits in the link."""
        if self._static is not None:
            self._fixed_stamps_ns.append(stamp_ns)
            fixed = transform_to_message(T_LINK_OPTICAL, header(self._names.link, stamp_ns), self._names.optical)
            self._static.publish(TFMessage(transforms=[fixed]))

    def send(self, child: str, T_world_child: Tensor, stamp_ns: int) -> None:
        """Publish where one frame is, unless that was the last that was said: tf2 complains about what it has."""
        last_ns, T_last = self._newest.get(child, (None, T_world_child))
        if self._dynamic is not None and not (last_ns == stamp_ns and torch.equal(T_last, T_world_child)):
            self._newest[child] = stamp_ns, T_world_child
            moved = transform_to_message(T_world_child, header(self._names.world, stamp_ns), child)
            self._dynamic.publish(TFMessage(transforms=[moved]))

    def _on_static(self, message: Any) -> None:
        """Warn of others that send the same frames; /tf, which is costly to hear, would not say whose they are."""
        for t in message.transforms:
            child, stamp_ns = t.child_frame_id, stamp_to_ns(t.header.stamp)
            if child == self._names.optical and stamp_ns in self._fixed_stamps_ns:
                self._fixed_stamps_ns.remove(stamp_ns)  # our own, which comes back once
            elif child in self._names.own - self._rivals:
                self._rivals.add(child)
                self._node.get_logger().warning(
                    f"another publisher sends the frame {child!r} of this camera: views will jump between the two; "
                    f"give each camera a namespace or a frame_prefix of its own (here it is {self._names.prefix!r})"
                )

    @property
    def rivals(self) -> str:
        """The frames of this camera that somebody else sends, in words; empty: none is known of."""
        return ", ".join(sorted(self._rivals))


class _Buffer(Protocol):
    def lookup(self, target: str, source: str, stamp_ns: int) -> Tensor: ...

    def newest(self, target: str, source: str) -> tuple[Tensor, int]: ...

    def clear(self) -> None: ...


class SubscribedTree(TransformTree):
    """A :class:`TransformTree` that listens to /tf and /tf_static."""

    def __init__(self, node: Node, group: CallbackGroup) -> None:
        super().__init__()
        #: Transforms that came and were not taken, and why the newest of them was not, and when.
        self.ignored = 0
        self.last_ignored = ""
        self.last_ignored_s = -math.inf
        node.create_subscription(TFMessage, "/tf", self._on_dynamic, _DYNAMIC_QOS, callback_group=group)
        node.create_subscription(TFMessage, "/tf_static", self._on_static, _STATIC_QOS, callback_group=group)

    def _on_dynamic(self, message: Any) -> None:
        self._take(message, static=False)

    def _on_static(self, message: Any) -> None:
        self._take(message, static=True)

    def _take(self, message: Any, *, static: bool) -> None:
        for t in message.transforms:
            try:
                T = transform_from_message(t.transform)
            except InvalidPoseError as error:
                self.ignored += 1
                self.last_ignored = f"/tf: the transform to {t.child_frame_id!r} is not taken: {error}"
                self.last_ignored_s = time.monotonic()
                continue
            self.add(t.header.frame_id, t.child_frame_id, T, stamp_to_ns(t.header.stamp), static=static)


class Tf2Buffer:
    """The buffer of ``tf2_ros``."""

    def __init__(self, node: Node) -> None:
        self._buffer = tf2_ros.Buffer(node=node)
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)

    def lookup(self, target: str, source: str, stamp_ns: int) -> Tensor:
        """See :meth:`TransformTree.lookup`."""
        return transform_from_message(self._find(target, source, stamp_ns).transform)

    def newest(self, target: str, source: str) -> tuple[Tensor, int]:
        """See :meth:`TransformTree.newest`."""
        found = self._find(target, source, 0)
        return transform_from_message(found.transform), stamp_to_ns(found.header.stamp)

    def _find(self, target: str, source: str, stamp_ns: int) -> Any:
        try:
            return self._buffer.lookup_transform(target, source, Time(nanoseconds=stamp_ns))
        except tf2_ros.TransformException as error:
            raise FrameError(f"no transform from {source!r} to {target!r}: {error}") from error

    def clear(self) -> None:
        """Forget everything."""
        self._buffer.clear()


class FrameListener:
    """Finds where frames are. Listens to /tf only from the first time that it is needed: in Python, that is not free.

    :param names: the world frame is where looked-up poses lead to.
    """

    def __init__(self, node: Node, names: FrameNames, group: CallbackGroup) -> None:
        self._node = node
        self._names = names
        self._group = group
        self._buffer: _Buffer | None = None

    @property
    def source(self) -> str:
        """Where transforms come from, in words."""
        if TFMessage is None:
            return "none: tf2_msgs is not installed, only poses in the world frame are understood"
        if self._buffer is None:
            return "not needed yet"
        return "tf2_ros" if tf2_ros is not None else "own buffer (tf2_ros is not installed)"

    @property
    def ignored(self) -> int:
        """How many transforms came and were not taken, of those that are not tf2_ros' own affair."""
        return self._buffer.ignored if isinstance(self._buffer, SubscribedTree) else 0

    def problems(self) -> Iterable[Problem]:
        """Yield that transforms come that are none."""
        tree = self._buffer
        if isinstance(tree, SubscribedTree) and time.monotonic() - tree.last_ignored_s < _RECENT_S:
            yield "/tf", tree.last_ignored

    def clear(self) -> None:
        """Forget what was heard: time has jumped back."""
        if self._buffer is not None:
            self._buffer.clear()

    def lookup(self, frame_id: str, stamp_ns: int) -> Tensor:
        """Return [4, 4] ``T_world_frame`` at a time, 0: the newest; an empty name is the world frame.

        :raises FrameError: unknown frame, or no transform at that time (yet).
        """
        if frame_id in ("", self._names.world):
            return torch.eye(4, dtype=torch.float64)
        return self._ready(frame_id).lookup(self._names.world, frame_id, stamp_ns)

    def newest(self, frame_id: str) -> tuple[Tensor, int]:
        """Return the newest [4, 4] ``T_world_frame`` with its time in ns; 0: it holds for all times.

        :raises FrameError: unknown frame.
        """
        if frame_id == self._names.world:
            return torch.eye(4, dtype=torch.float64), 0
        return self._ready(frame_id).newest(self._names.world, frame_id)

    def _ready(self, frame_id: str) -> _Buffer:
        """Return what listens to /tf, from now on if it has not before."""
        if frame_id.startswith("/"):
            raise FrameError(
                f"frame {frame_id!r} begins with a slash, which tf2's frames do not: write {frame_id.lstrip('/')!r}"
            )
        if TFMessage is None:
            raise FrameError(
                f"cannot look up frame {frame_id!r}: tf2_msgs is not installed (it comes with a ROS installation); "
                f"send poses in {self._names.world!r}"
            )
        if self._buffer is None:
            self._buffer = Tf2Buffer(self._node) if tf2_ros is not None else SubscribedTree(self._node, self._group)
        return self._buffer

    async def wait_for(self, frame_id: str, stamp_ns: int, *, timeout_s: float) -> Tensor:
        """Like :meth:`lookup`, but waits for a transform that is late."""
        end = time.monotonic() + timeout_s
        while True:
            try:
                return self.lookup(frame_id, stamp_ns)
            except FrameError as error:
                if TFMessage is None:
                    raise
                if time.monotonic() > end:
                    raise FrameError(
                        f"{error}; waited {timeout_s:g} s for it (tf_timeout_s){self._silence()}"
                    ) from error
            await self._sleep(_POLL_S)

    def _silence(self) -> str:
        """Return that nobody else publishes frames, in words, or an empty string."""
        node = self._node
        infos = [info for topic in ("/tf", "/tf_static") for info in node.get_publishers_info_by_topic(topic)]
        own = (node.get_name(), node.get_namespace())
        if any((info.node_name, info.node_namespace) != own for info in infos):
            return ""
        return (
            "; nobody but this node publishes /tf: start robot_state_publisher and the localisation, or send poses in "
            f"{self._names.world!r}"
        )

    async def _sleep(self, seconds: float) -> None:
        done: Future = Future()
        timer = self._node.create_timer(
            seconds, lambda: done.set_result(None), self._group, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )
        try:
            await done
        finally:
            self._node.destroy_timer(timer)
