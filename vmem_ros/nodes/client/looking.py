"""Verbs that look: generated views, what memory alone shows, and clouds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from action_msgs.srv import CancelGoal

from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.images import image_from_message, map_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.client.answers import Feedback, Rendering
from vmem_ros.nodes.client.cloud_reading import PointCloud, read_cloud
from vmem_ros.nodes.client.connection import within
from vmem_ros.nodes.client.goal import result_of_drawing
from vmem_ros.nodes.client.pose_stamps import PoseLike
from vmem_ros.nodes.client.tasks import next_turn, until
from vmem_ros.nodes.client.verbs import Verbs, awaitable, blocking
from vmem_ros.nodes.client.view_assembly import CapturedView, Collection
from vmem_ros.nodes.interface.names import ACTIONS, SERVICES
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header

# The camera node says that it has published a view; how long it may be under way.
_ARRIVAL_S = 10.0


class Looking(Verbs):
    """What the camera sees."""

    @awaitable
    async def capture_async(
        self, pose: PoseLike | None = None, *, camera: Camera | None = None, seed: int = -1, prompt: str = ""
    ) -> CapturedView:
        """Generate one view, at ``pose`` (arguments as of :meth:`generate`) or where the camera is."""
        if pose is not None:
            return (await self._generated([pose], camera, seed, prompt, None))[0]
        with self._connection.views.collect() as collection:
            message = await self._connection.trigger("capture", patient=True)
            return (await _views_of(collection, [int(message)]))[0]

    capture = blocking(capture_async)

    @awaitable
    async def generate_async(
        self,
        path: Sequence[PoseLike],
        *,
        camera: Camera | None = None,
        seed: int = -1,
        prompt: str = "",
        on_feedback: Callable[[Feedback], None] | None = None,
    ) -> list[CapturedView]:
        """Generate a view at each pose, in order.

        :param camera: intrinsics of the views; ``None``: the node's.
        :param seed: equal seeds give equal views; -1: the node's choice.
        :param prompt: what they are to show, in words, for engines that read; empty: the node's parameter ``prompt``.
        :param on_feedback: called with the progress: by ``generate`` in the calling thread, by ``generate_async`` where
            the node is spun, whose task has the newest one as ``feedback``. If it raises, the request is cancelled.
        """
        return await self._generated(path, camera, seed, prompt, on_feedback)

    generate = blocking(generate_async)

    async def _generated(
        self,
        path: Sequence[PoseLike],
        camera: Camera | None,
        seed: int,
        prompt: str,
        on_feedback: Callable[[Feedback], None] | None,
    ) -> list[CapturedView]:
        connection = self._connection
        poses = [connection.stamps.stamped(p) for p in path]
        goal = ACTIONS["generate"].type.Goal(poses=poses, seed=seed, prompt=prompt)
        with connection.views.collect() as collection:
            result = await result_of_drawing(connection, "generate", goal, camera, on_feedback)
            return await _views_of(collection, [stamp_to_ns(s) for s in result.stamps])

    @awaitable
    async def cancel_async(self) -> None:
        """Cancel every running and waiting request of :meth:`generate`, whoever sent it."""
        connection = self._connection
        client = connection.client(CancelGoal, "generate/_action/cancel_goal")
        try:
            await connection.call(client, CancelGoal.Request())
        finally:
            connection.node.destroy_client(client)

    cancel = blocking(cancel_async)

    @awaitable
    async def render_async(self, pose: PoseLike, *, camera: Camera | None = None, images: bool = True) -> Rendering:
        """Return what memory alone shows at a pose, in milliseconds; changes nothing.

        :param camera: intrinsics of the picture; ``None``: the node's preview.
        :param images: false: only the figures, for scoring many poses.
        """
        stamped = self._connection.stamps.stamped(pose)
        request = SERVICES["render"].type.Request(pose=stamped, skip_images=not images)
        if camera is not None:
            request.camera_info = camera_to_message(camera, header("", 0))
        answer = await self._connection.call_checked("render", request)
        return Rendering(
            image=image_from_message(answer.image) if images else None,
            depth=map_from_message(answer.depth) if images else None,
            confidence=map_from_message(answer.confidence) if images else None,
            camera=camera_from_message(answer.camera_info),
            seen=answer.seen,
            mean_confidence=answer.mean_confidence,
            nearest_depth_m=answer.nearest_depth,
        )

    render = blocking(render_async)

    def latest(self) -> CapturedView | None:
        """Return the newest generated view that came since this client started, whoever asked for it."""
        return self._connection.views.latest

    @awaitable
    async def points_async(
        self, topic: Literal["memory/surfels", "camera/points"] = "memory/surfels", *, timeout_s: float | None = None
    ) -> PointCloud:
        """Return a cloud of the camera.

        :param topic: ``memory/surfels``, what is remembered, in the world frame (at most ``memory.max_points``): all
            that was written or taken back before, as ~/status has told it; the node publishes it
            ``memory.publish_rate_hz`` times a second at most, so it may be waited for. Or ``camera/points``, those of
            the next view that is generated, whoever asks for it, in its optical frame.
        :param timeout_s: how long to wait for it; ``None``: as long as for any answer.
        :raises NotReadyError: none came, or none since the last change.
        """
        connection = self._connection
        await next_turn()  # a status that came with the answer before is taken in
        since_ns = connection.changes.newest_ns if topic == "memory/surfels" else 0
        timeout_s = connection.timeout_s if timeout_s is None else timeout_s
        received: list[Any] = []

        def receive(message: Any) -> None:
            received.append(message)
            connection.runner.wake()  # the next turn destroys what this is a callback of

        subscription = connection.subscribe(topic, receive)

        def late() -> str:
            waited = f"on {subscription.topic_name} within {timeout_s:g} s"
            if received:
                return f"nothing newer than the last change of the world {waited}: see memory.publish_rate_hz"
            hint = "is the node running?" if topic == "memory/surfels" else "was a view generated?"
            return f"no message {waited}: {hint}"

        def is_new() -> bool:
            return bool(received) and stamp_to_ns(received[-1].header.stamp) >= since_ns

        try:
            await until(is_new, within(timeout_s, late))
        finally:
            connection.node.destroy_subscription(subscription)
        return read_cloud(received[-1])

    points = blocking(points_async)


async def _views_of(collection: Collection, stamps_ns: Sequence[int]) -> list[CapturedView]:
    """Return the views of these stamps, which the camera node says it has published.

    :raises NotReadyError: some did not come.
    """

    def lost() -> str:
        missing = len(collection.missing(stamps_ns))
        return (
            f"{missing} of {len(stamps_ns)} views were published but did not arrive: use the shared-memory profile of "
            "config/ on both sides (FASTRTPS_DEFAULT_PROFILES_FILE)"
        )

    await until(lambda: not collection.missing(stamps_ns), within(_ARRIVAL_S, lost))
    return [collection.views[stamp] for stamp in stamps_ns]
