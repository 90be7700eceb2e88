"""The topics below ``memory/``: surfels, stored cameras and the path along which they were stored."""

from __future__ import annotations

from collections.abc import Sequence

from geometry_msgs.msg import PoseArray, PoseStamped
from nav_msgs.msg import Path
from rclpy.task import Future

from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.interface.rclpy_messages import elements_to_message, header, pose_to_message
from vmem_ros.types import View
from vmem_ros.world import World


class MemoryTopics:
    """Publishes what is remembered after it changed, at most ``memory.publish_rate_hz`` times a second."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._changed = False
        self._pending: Future | None = None
        # Messages of the poses that were published last; making them anew would cost more with every view.
        self._views: list[View] = []
        self._poses: list[PoseStamped] = []
        core.on_world_change(self._on_world_change)
        core.on_forget(lambda: self._update_poses([]))
        core.create_rate_timer("memory", "memory.publish_rate_hz", self._tick)
        core.parameters.on_change(self._on_parameters)

    def _on_parameters(self, names: set[str]) -> None:
        if "memory.max_points" in names:
            self._changed = True

    def _on_world_change(self, world: World) -> None:
        self._changed = True

    def _tick(self) -> None:
        if self._pending is not None:
            if not self._pending.done():
                return
            done, self._pending = self._pending, None
            done.result()
        if self._changed and self._core.active and self._core.worker.state == "ready":
            self._changed = False
            self._pending = self._core.worker.submit("read", self._publish)

    def _publish(self, world: World) -> None:
        """Publish everything; in the worker's thread."""
        memory, publishers = world.memory, self._core.publishers
        head = header(self._core.names.world, self._core.now_ns())
        cloud = memory.elements().at_most(self._core.parameters["memory.max_points"])
        publishers["memory/surfels"].publish(elements_to_message(cloud, head))
        self._update_poses(memory.views)
        publishers["memory/views"].publish(PoseArray(header=head, poses=[p.pose for p in self._poses]))
        publishers["memory/path"].publish(Path(header=head, poses=self._poses))

    def _update_poses(self, views: Sequence[View]) -> None:
        same = next((i for i, (a, b) in enumerate(zip(views, self._views, strict=False)) if a is not b), None)
        kept = min(len(views), len(self._views)) if same is None else same
        del self._poses[kept:]
        for view in views[kept:]:
            pose = pose_to_message(link_from_camera(view.T_world_camera))
            self._poses.append(PoseStamped(header=header(self._core.names.world, view.stamp_ns), pose=pose))
        self._views = list(views)
