"""A planner's view of the camera: verbs that return arrays and raise named errors.

from vmem_ros.geometry import look_at
from vmem_ros.nodes.client import CameraClient

with CameraClient() as camera:
    camera.wait_until_ready()
    candidates = [look_at((1, y, 1.2), (4, 0, 1)) for y in (-1.0, 0.0, 1.0)]
    best = max(candidates, key=lambda T: camera.render(T, images=False).seen)
    view = camera.capture(best)
    print(view.image.shape, view.depth.min(), view.confidence.mean())
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
from action_msgs.srv import CancelGoal
from geometry_msgs.msg import PoseStamped
from numpy.typing import NDArray
from rclpy.action import ActionClient
from rclpy.client import Client
from std_srvs.srv import SetBool, Trigger
from torch import Tensor
from vmem_ros.msg import Status

from vmem_ros.errors import ErrorCode, ModelError, NotReadyError
from vmem_ros.geometry import Camera, as_pose
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.images import image_from_message, map_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.client.action_call import ActionCall
from vmem_ros.nodes.client.answers import Feedback, Rendering, SavedWorld
from vmem_ros.nodes.client.spinning_node import SpinningNode
from vmem_ros.nodes.client.view_assembly import CapturedView, ViewAssembly
from vmem_ros.nodes.interface.error_codes import error_from_text, error_of
from vmem_ros.nodes.interface.names import ACTIONS, NAMESPACE, NODE_NAME, PUBLISHED, SERVICES, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    ns_to_stamp,
    pose_to_message,
)

#: A pose: [4, 4] ``T_world_camera`` (optical axes), or a ``PoseStamped`` of the camera link in any frame TF knows.
PoseLike: TypeAlias = Tensor | NDArray | PoseStamped

_READY = (Status.STATE_IDLE, Status.STATE_GENERATING, Status.STATE_PAUSED)
_JUMP_NS = 1_000_000_000


class CameraClient:
    """Drives one camera node from a plain script or from any ROS process.

    It has its own ROS context and its own thread that spins it, so every method may be called from any thread,
    callbacks of your own nodes included, without a deadlock; each blocks the calling thread until it is done.

    :param namespace: of the camera node.
    :param node_name: name of the camera node.
    :param use_sim_time: stamp poses with /clock.
    :raises VmemError: every method raises the named error whose code the node returned.
    """

    def __init__(self, namespace: str = NAMESPACE, *, node_name: str = NODE_NAME, use_sim_time: bool = False) -> None:
        self._status: Status | None = None
        self._status_changed = threading.Condition()
        self._views = ViewAssembly()
        self._last_stamp_ns = 0
        self._stamp_lock = threading.Lock()
        self._spinning = SpinningNode("vmem_client", namespace, use_sim_time=use_sim_time)
        self._node = self._spinning.node
        self._pose = self._node.create_publisher(SUBSCRIBED["pose"].type, "pose", qos_profile("command"))
        self._services: dict[str, Client] = {
            name: self._node.create_client(service.type, f"{node_name}/{name}") for name, service in SERVICES.items()
        }
        self._generate = ActionClient(self._node, ACTIONS["generate"].type, f"{node_name}/generate")
        for part in ViewAssembly.PARTS:
            # Volatile and deep: no views from before, and all of a chunk that comes in one burst.
            self._node.create_subscription(
                PUBLISHED[part].type, part, lambda m, part=part: self._views.add(part, m), qos_profile("sensor")
            )
        # Last, because readers are announced in order: once a status has come, the node knows all readers above.
        self._node.create_subscription(Status, f"{node_name}/status", self._on_status, qos_profile("latched"))
        self._spinning.start()

    # -- looking -----------------------------------------------------------------------------------------------------
    def capture(self, pose: PoseLike | None = None, *, camera: Camera | None = None, seed: int = -1) -> CapturedView:
        """Generate one view, at ``pose`` or where the camera is."""
        if pose is not None:
            return self.generate([pose], camera=camera, seed=seed)[0]
        with self._views.collect() as collection:
            message = self._trigger("capture", timeout_s=None)
            return collection.wait([int(message)])[0]

    def generate(
        self,
        path: Sequence[PoseLike],
        *,
        camera: Camera | None = None,
        seed: int = -1,
        on_feedback: Callable[[Feedback], None] | None = None,
    ) -> list[CapturedView]:
        """Generate a view at each pose, in order.

        :param camera: intrinsics of the views; ``None``: the node's.
        :param seed: equal seeds give equal views; -1: the node's choice.
        :param on_feedback: called in the calling thread; if it raises, the request is cancelled.
        """
        goal = ACTIONS["generate"].type.Goal(poses=[self._stamped(p) for p in path], seed=seed)
        if camera is not None:
            goal.camera_info = camera_to_message(camera, header("", 0))
        self._require_server(self._generate.wait_for_server, "generate")

        def report(event: Any) -> None:
            if on_feedback is not None:
                on_feedback(Feedback(event.view, event.views, event.step, event.steps, event.eta_s))

        with self._views.collect() as collection:
            result = ActionCall(self._generate, self._spinning.executor, goal).wait(report)
            if result.error_code != ErrorCode.NONE:
                raise error_of(result.error_code, result.error_msg)
            return collection.wait([stamp_to_ns(s) for s in result.stamps])

    def cancel(self) -> None:
        """Cancel every running and waiting request of :meth:`generate`, whoever sent it."""
        client = self._node.create_client(CancelGoal, f"{self._generate._action_name}/_action/cancel_goal")
        try:
            self._call(client, CancelGoal.Request())
        finally:
            self._node.destroy_client(client)

    def render(self, pose: PoseLike, *, camera: Camera | None = None, images: bool = True) -> Rendering:
        """Return what memory alone shows at a pose, in milliseconds; changes nothing.

        :param camera: intrinsics of the picture; ``None``: the node's preview.
        :param images: false: only the figures, for scoring many poses.
        """
        request = SERVICES["render"].type.Request(pose=self._stamped(pose), skip_images=not images)
        if camera is not None:
            request.camera_info = camera_to_message(camera, header("", 0))
        answer = self._checked("render", request)
        return Rendering(
            image=image_from_message(answer.image) if images else None,
            depth=map_from_message(answer.depth) if images else None,
            confidence=map_from_message(answer.confidence) if images else None,
            camera=camera_from_message(answer.camera_info),
            seen=answer.seen,
            mean_confidence=answer.mean_confidence,
            nearest_depth_m=answer.nearest_depth,
        )

    def latest(self) -> CapturedView | None:
        """Return the newest generated view that came since this client started, whoever asked for it."""
        return self._views.latest

    # -- moving ------------------------------------------------------------------------------------------------------
    def move_to(self, pose: PoseLike) -> int:
        """Move the camera; returns the stamp in nanoseconds that views from there carry. Does not wait."""
        message = self._stamped(pose)
        self._pose.publish(message)
        return stamp_to_ns(message.header.stamp)

    def set_camera(self, camera: Camera) -> None:
        """Set the intrinsics of generated views."""
        service = SERVICES["set_camera_info"]
        answer = self._call(
            self._services[service.name], service.type.Request(camera_info=camera_to_message(camera, header("", 0)))
        )
        if not answer.success:
            raise error_from_text(answer.status_message)

    # -- remembering -------------------------------------------------------------------------------------------------
    def add_view(
        self, image: NDArray[np.uint8], camera: Camera, pose: PoseLike, *, depth: NDArray[np.float32] | None = None
    ) -> int:
        """Put an observed view into the memory; returns the number of stored views.

        :param image: [H, W, 3] uint8 RGB.
        :param depth: [H, W] float32 metres, NaN unknown. ``None``: the node's ``geometry.estimator`` finds it, if it
            looks at pictures.
        """
        stamped = self._stamped(pose)
        head = stamped.header
        request = SERVICES["add_view"].type.Request(
            image=image_to_message(image, head), camera_info=camera_to_message(camera, head), pose=stamped
        )
        if depth is not None:
            request.depth = map_to_message(np.asarray(depth, np.float32), head)
        return int(self._checked("add_view", request).stored_views)

    def undo(self) -> None:
        """Take back the last commit."""
        self._trigger("undo")

    def reset(self) -> None:
        """Forget everything."""
        self._trigger("reset")

    def pause(self, paused: bool = True) -> None:
        """Hold generation between two steps, or continue."""
        answer = self._call(self._services["pause"], SetBool.Request(data=paused))
        if not answer.success:
            raise error_from_text(answer.message)

    def save(self, url: str = "", *, overwrite: bool = False) -> SavedWorld:
        """Save the world below the node's world.root; empty: its world.path."""
        answer = self._checked("save_world", SERVICES["save_world"].type.Request(url=url, overwrite=overwrite))
        return SavedWorld(answer.path, answer.stored_views)

    def load(self, url: str = "") -> SavedWorld:
        """Replace the world by a saved one; on any error it stays as it is."""
        answer = self._checked("load_world", SERVICES["load_world"].type.Request(url=url))
        return SavedWorld(answer.path, answer.stored_views)

    # -- waiting -----------------------------------------------------------------------------------------------------
    @property
    def status(self) -> Status | None:
        """The newest status, ``None`` before the first."""
        return self._status

    def wait_for(self, condition: Callable[[Status], bool], *, timeout_s: float = 60.0) -> Status:
        """Wait until a status fulfils a condition, e.g. ``lambda s: s.stored_views >= 10``, and return it.

        :raises ModelError: the node failed to load its model.
        :raises NotReadyError: not within ``timeout_s``.
        """
        self._refuse_own_thread()
        end = time.monotonic() + timeout_s
        with self._status_changed:
            while True:
                status = self._status
                if status is not None and condition(status):
                    return status
                if status is not None and status.state == Status.STATE_FAILED:
                    raise ModelError(status.error_msg)
                if not self._status_changed.wait(timeout=end - time.monotonic()):
                    got = "no status came: is the node running, in this namespace and ROS_DOMAIN_ID?"
                    last = got if status is None else f"the last status was: {status}"
                    raise NotReadyError(f"waited {timeout_s:g} s for the camera node; {last}")

    def wait_until_ready(self, *, timeout_s: float = 120.0) -> Status:
        """Wait until the node is active with its model loaded and everything is connected."""
        end = time.monotonic() + timeout_s
        status = self.wait_for(lambda s: s.state in _READY, timeout_s=timeout_s)
        servers = {name: client.wait_for_service for name, client in self._services.items()}
        for name, wait in {**servers, "generate": self._generate.wait_for_server}.items():
            self._require_server(wait, name, timeout_s=max(end - time.monotonic(), 1.0))
        return status

    def close(self) -> None:
        """Stop the thread and leave ROS; the node goes on."""
        self._spinning.close(self._generate)

    def __enter__(self) -> CameraClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- inside ------------------------------------------------------------------------------------------------------
    def _on_status(self, message: Status) -> None:
        with self._status_changed:
            self._status = message
            self._status_changed.notify_all()

    def _stamped(self, pose: PoseLike) -> PoseStamped:
        """Return a pose of the link with a stamp of its own, by which its view is found again."""
        if not isinstance(pose, PoseStamped):
            link = link_from_camera(as_pose(pose))
            pose = PoseStamped(pose=pose_to_message(link))
        if stamp_to_ns(pose.header.stamp) == 0:
            with self._stamp_lock:
                now = self._node.get_clock().now().nanoseconds
                # Stamps rise, but where time has jumped back they start from there.
                jumped = now < self._last_stamp_ns - _JUMP_NS
                self._last_stamp_ns = now if jumped else max(now, self._last_stamp_ns + 1)
                stamp = ns_to_stamp(self._last_stamp_ns)
            pose = PoseStamped(header=header(pose.header.frame_id, 0), pose=pose.pose)
            pose.header.stamp = stamp
        return pose

    def _trigger(self, name: str, *, timeout_s: float | None = 60.0) -> str:
        answer = self._call(self._services[name], Trigger.Request(), timeout_s=timeout_s)
        if not answer.success:
            raise error_from_text(answer.message)
        return str(answer.message)

    def _checked(self, name: str, request: Any) -> Any:
        answer = self._call(self._services[name], request)
        if answer.error_code != ErrorCode.NONE:
            raise error_of(answer.error_code, answer.error_msg)
        return answer

    def _call(self, client: Client, request: Any, *, timeout_s: float | None = 60.0) -> Any:
        self._require_server(client.wait_for_service, client.srv_name)
        done = threading.Event()
        future = client.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout_s):
            client.remove_pending_request(future)
            raise NotReadyError(f"{client.srv_name} did not answer within {timeout_s:g} s")
        return future.result()

    def _require_server(self, wait: Callable[..., bool], name: str, *, timeout_s: float = 10.0) -> None:
        self._refuse_own_thread()
        if not wait(timeout_sec=timeout_s):
            raise NotReadyError(f"no server for {name} after {timeout_s:g} s: is the camera node running?")

    def _refuse_own_thread(self) -> None:
        if self._spinning.is_this_thread:
            raise RuntimeError("CameraClient's own thread cannot wait for itself: call it from another thread")
