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
from rclpy.task import Future
from rclpy.timer import Timer
from torch import Tensor

from vmem_ros.errors import ErrorCode, FrameError, NotReadyError, VmemError
from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import camera_from_link, pose_from_message
from vmem_ros.nodes.camera.inputs import Inputs
from vmem_ros.nodes.camera.pose_list import PoseList
from vmem_ros.nodes.camera.rig import Rig
from vmem_ros.nodes.camera.tf import FrameBroadcaster, FrameListener
from vmem_ros.nodes.camera.worker import Worker
from vmem_ros.nodes.interface.error_codes import as_text, as_vmem_error
from vmem_ros.nodes.interface.frame_names import FrameNames
from vmem_ros.nodes.interface.names import PUBLISHED, create_publisher, create_subscription
from vmem_ros.nodes.interface.parameters import Parameters
from vmem_ros.nodes.interface.subscription import Subscribed
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
        self.inputs = Inputs(node)
        self.inputs.watch(self.frames.problems)
        self.publishers: dict[str, Publisher] = {
            name: create_publisher(node, name, mode=self.parameters["camera.mode"]) for name in PUBLISHED
        }
        #: Whether the node is in the lifecycle state *active*.
        self.active = False
        #: How often time has jumped back: a stamp of an earlier epoch may lie in the future.
        self.epoch = 0
        self._last_stamp_ns = self._last_followed_ns = 0
        self._stamp_lock = threading.Lock()
        self._told_of_floor = False
        self._reported: dict[tuple[str, ErrorCode], float] = {}
        self._on_world: list[Listener] = []
        self._on_forget: list[Callable[[], None]] = []
        self._on_taken_back: list[Callable[[], None]] = []
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

    def on_taken_back(self, listener: Callable[[], None]) -> None:
        """Call ``listener()`` in the worker's thread after an undo, a reset, or when another world was loaded."""
        self._on_taken_back.append(listener)

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

    def pose_stamp_ns(self) -> int:
        """Return the time of where the camera is: that of the frame that it follows, otherwise now."""
        return self.rig.stamp_ns if self.rig.followed else self.now_ns()

    def view_stamp_ns(self) -> int:
        """Return the stamp of a view from where the camera is: :meth:`pose_stamp_ns`, unless a view has it."""
        if self.rig.followed and self.rig.stamp_ns != self._last_followed_ns:
            self._last_followed_ns = self.rig.stamp_ns
            return self._last_followed_ns
        return self.unique_stamp_ns()

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
                timer.reset()  # or it waits for the end of a period that may be long

        self.parameters.on_change(follow)

    # -- requests ----------------------------------------------------------------------------------------------------
    def require_active(self) -> None:
        """Raise NotReadyError unless the node is active."""
        if not self.active:
            raise NotReadyError("the camera node is not active: activate it with `ros2 lifecycle set`")

    async def run(self, work: Callable[[World], Any], *, takes_back: bool = False) -> Any:
        """Run a command that changes the world, tell everybody, and return its result.

        :param takes_back: views that were drawn may be gone afterwards, because somebody wants it so.
        """
        self.require_active()

        def change(world: World) -> Any:
            result = work(world)
            if takes_back:
                for listener in self._on_taken_back:
                    listener()
            self.world_changed(world)
            return result

        return await self.worker.submit("command", change)

    def camera_of(self, info: Any) -> Camera:
        """Return the camera of a CameraInfo that a request names.

        :raises InvalidCameraError: no pinhole camera, or more pixels than ``camera.max_pixels``.
        """
        return camera_from_message(info, max_pixels=self.parameters["camera.max_pixels"])

    async def link_pose(self, stamped: Any) -> tuple[Any, int]:
        """Return (``T_world_link``, stamp in ns or 0) of a PoseStamped in any frame; waits for late transforms."""
        T_frame_link = pose_from_message(stamped.pose)
        stamp_ns = stamp_to_ns(stamped.header.stamp)
        return await self.world_from(stamped.header.frame_id, stamp_ns) @ T_frame_link, stamp_ns

    async def world_from(self, frame_id: str, stamp_ns: int) -> Tensor:
        """Return [4, 4] ``T_world_frame`` at a time, 0: the newest; waits for late transforms."""
        return await self.frames.wait_for(frame_id, stamp_ns, timeout_s=self.parameters["tf_timeout_s"])

    async def links_of(self, poses: PoseList) -> Tensor:
        """Return [N, 4, 4] ``T_world_link`` of poses in any frames.

        :raises InvalidPoseError: one is none; which.
        :raises FrameError: likewise, its frame cannot be found.
        """
        links = poses.transforms()
        await self.let_others_run()
        for frame_id, stamp_ns, chosen in poses.groups():
            try:
                links[chosen] = await self.world_from(frame_id, stamp_ns) @ links[chosen]
            except FrameError as error:
                first = chosen[0] if isinstance(chosen, list) else 0
                raise FrameError(f"pose {first + 1} of {len(poses)}: {error}") from error
            await self.let_others_run()
        return links

    async def let_others_run(self) -> None:
        """Let the executor do what has come meanwhile: to be awaited in long loops of its thread."""
        done: Future = Future()
        self.node.executor.create_task(done.set_result, None)
        await done

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
        self.inputs.unused(what, as_text(named))
        return named

    def raised(self, T_world_link: Tensor) -> Tensor:
        """Return commanded poses [..., 4, 4] raised by ``pose_height_m``; tell once of one on the floor that is not."""
        T, height = T_world_link.clone(), self.parameters["pose_height_m"]
        if height == 0 and bool((T[..., 2, 3] == 0).any()) and not self._told_of_floor:
            self._told_of_floor = True
            self.node.get_logger().warning(
                "a commanded pose lies on the floor (z = 0), where goals of RViz and plans of Nav2 lie: set "
                "pose_height_m to the height of the robot's camera"
            )
        T[..., 2, 3] += height
        return T

    def subscribe(self, name: str, callback: Callable[..., Any], **options: Any) -> Subscribed:
        """Subscribe to a topic of the interface table; what comes is counted, and errors are reported.

        :param options: of :func:`create_subscription`.
        """
        guarded = self.guarded(name, callback)

        def receive(message: Any) -> Any:
            self.inputs.received(name)
            return guarded(message)

        async def attend(message: Any) -> None:
            self.inputs.received(name)
            await guarded(message)

        chosen = attend if inspect.iscoroutinefunction(callback) else receive
        subscribed = create_subscription(self.node, name, chosen, group=self.group, **options)
        self.inputs.add(name, subscribed)
        return subscribed

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
