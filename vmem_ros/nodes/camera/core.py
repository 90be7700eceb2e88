"""What every part of the camera node shares."""

from __future__ import annotations

import inspect
import math
import threading
import time
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.timer import Timer
from torch import Tensor

from vmem_ros.errors import ErrorCode, NotReadyError, VmemError
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import camera_from_link, pose_from_message
from vmem_ros.nodes.camera.rig import Rig
from vmem_ros.nodes.camera.tf import FrameBroadcaster, FrameListener
from vmem_ros.nodes.camera.worker import Worker
from vmem_ros.nodes.interface.error_codes import as_text, as_vmem_error
from vmem_ros.nodes.interface.frame_names import FrameNames
from vmem_ros.nodes.interface.names import PUBLISHED, create_publisher
from vmem_ros.nodes.interface.parameters import Parameters
from vmem_ros.world import World

Listener = Callable[[World], None]

_REPORT_PERIOD_S = 1.0


class Core:
    """The node's shared parts, made before its topics and services.

    Callbacks that await something share one reentrant group: awaiting in any other group would lock it.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self.node = node
        self.parameters = Parameters(node)
        self.group = ReentrantCallbackGroup()
        self.names = FrameNames(self.parameters["world_frame_id"], self.parameters["frame_prefix"])
        self.frames = FrameListener(node, self.names, self.group)
        self.broadcaster = FrameBroadcaster(node, self.names, enabled=self.parameters["publish_tf"])
        self.rig = Rig(self.parameters)
        self.publishers: dict[str, Publisher] = {
            name: create_publisher(node, name, mode=self.parameters["camera.mode"]) for name in PUBLISHED
        }
        #: Whether the node is in the lifecycle state *active*.
        self.active = False
        #: How often time has jumped back: a stamp of an earlier epoch may lie in the future.
        self.epoch = 0
        self._last_stamp_ns = 0
        self._stamp_lock = threading.Lock()
        self._reported: dict[tuple[str, ErrorCode], float] = {}
        self._on_world: list[Listener] = []
        self._on_forget: list[Callable[[], None]] = []
        self._on_state: list[Callable[[], None]] = []
        self.worker = Worker(
            max_length=self.parameters["queue.max_length"],
            wake=self._wake,
            on_change=self.state_changed,
            on_world=self._on_other_world,
            on_error=self._log_failure,
        )

    # -- events ------------------------------------------------------------------------------------------------------
    def on_world_change(self, listener: Listener) -> None:
        """Call ``listener(world)`` in the worker's thread after the world has changed."""
        self._on_world.append(listener)

    def world_changed(self, world: World) -> None:
        """Tell everybody; in the worker's thread."""
        for listener in self._on_world:
            listener(world)
        self.state_changed()

    def on_forget(self, listener: Callable[[], None]) -> None:
        """Call ``listener()`` in the worker's thread after the world was dropped."""
        self._on_forget.append(listener)

    def on_state_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener()``, in any thread, when what ~/status says may have changed."""
        self._on_state.append(listener)

    def state_changed(self) -> None:
        """Tell everybody; from any thread."""
        for listener in self._on_state:
            listener()

    # -- time --------------------------------------------------------------------------------------------------------
    def now_ns(self) -> int:
        """Return the node's time (simulated, where ``use_sim_time`` is set)."""
        return int(self.node.get_clock().now().nanoseconds)

    def unique_stamp_ns(self) -> int:
        """Return a time close to now that no view carries yet."""
        with self._stamp_lock:
            self._last_stamp_ns = max(self.now_ns(), self._last_stamp_ns + 1)
            return self._last_stamp_ns

    def forget_stamps(self) -> None:
        """Time has jumped back: stamps start from there, and a new epoch begins."""
        with self._stamp_lock:
            self._last_stamp_ns = 0
            self.epoch += 1

    def create_timer(self, what: str, period_s: float, callback: Callable[[], Any]) -> Timer:
        """Return a timer on the wall clock, so that it also runs while simulated time stands still."""
        return self.node.create_timer(
            period_s, self.guarded(what, callback), self.group, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def create_rate_timer(self, what: str, parameter: str, callback: Callable[[], Any]) -> None:
        """Call back as many times a second as a parameter says, also after it has changed; see :meth:`create_timer`."""
        timer = self.create_timer(what, 1.0 / self.parameters[parameter], callback)

        def follow(names: set[str]) -> None:
            if parameter in names:
                timer.timer_period_ns = int(1e9 / self.parameters[parameter])

        self.parameters.on_change(follow)

    # -- requests ----------------------------------------------------------------------------------------------------
    def require_active(self) -> None:
        """Raise NotReadyError unless the node is active."""
        if not self.active:
            raise NotReadyError("the camera node is not active: activate it with `ros2 lifecycle set`")

    async def run(self, work: Callable[[World], Any]) -> Any:
        """Run a command that changes the world, tell everybody, and return its result."""
        self.require_active()

        def change(world: World) -> Any:
            result = work(world)
            self.world_changed(world)
            return result

        return await self.worker.submit("command", change)

    async def link_pose(self, stamped: Any) -> tuple[Any, int]:
        """Return (``T_world_link``, stamp in ns or 0) of a PoseStamped in any frame; waits for late transforms."""
        T_frame_link = pose_from_message(stamped.pose)
        stamp_ns = stamp_to_ns(stamped.header.stamp)
        T_world_frame = await self.frames.wait_for(
            stamped.header.frame_id, stamp_ns, timeout_s=self.parameters["tf_timeout_s"]
        )
        return T_world_frame @ T_frame_link, stamp_ns

    async def camera_pose(self, stamped: Any) -> tuple[Any, int]:
        """Like :meth:`link_pose`, for the optical frame."""
        T_world_link, stamp_ns = await self.link_pose(stamped)
        return camera_from_link(T_world_link), stamp_ns

    def report(self, what: str, error: BaseException) -> VmemError:
        """Log an error, each kind once a second at most, and return it as a named one."""
        named = as_vmem_error(error)
        now = time.monotonic()
        if now - self._reported.get((what, named.code), -math.inf) >= _REPORT_PERIOD_S:
            self._reported[what, named.code] = now
            self.node.get_logger().warning(f"{what}: {as_text(named)}")
        return named

    def raised(self, T_world_link: Tensor) -> Tensor:
        """Return a commanded pose raised by ``pose_height_m``."""
        T = T_world_link.clone()
        T[2, 3] += self.parameters["pose_height_m"]
        return T

    def guarded(self, what: str, callback: Callable[..., Any]) -> Callable[..., Any]:
        """Return a callback whose errors are reported instead of ending the node; a coroutine function stays one."""

        @wraps(callback)
        async def attend(*args: Any) -> None:
            try:
                await callback(*args)
            except Exception as error:
                self.report(what, error)

        @wraps(callback)
        def call(*args: Any) -> None:
            try:
                callback(*args)
            except Exception as error:
                self.report(what, error)

        return attend if inspect.iscoroutinefunction(callback) else call

    def _on_other_world(self, world: World | None) -> None:
        if world is not None:
            self.world_changed(world)
            return
        for listener in self._on_forget:
            listener()
        self.state_changed()

    def _wake(self) -> None:
        executor = self.node.executor
        if executor is not None:
            executor.wake()

    def _log_failure(self, error: BaseException) -> None:
        """Log what went wrong; with the place, where nobody raised it on purpose."""
        planned = isinstance(error, VmemError)
        self.node.get_logger().error(str(error) if planned else "".join(traceback.format_exception(error)))
