"""The preview: what memory alone shows where the camera is, at camera rate, also while a view is generated."""

from __future__ import annotations

from rclpy.task import Future

from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    jpeg_to_message,
    map_to_message,
)
from vmem_ros.types import Target
from vmem_ros.world import World

_TOPICS = (
    "preview/image_raw",
    "preview/image_raw/compressed",
    "preview/camera_info",
    "preview/depth/image_rect",
    "preview/depth/camera_info",
)


class PreviewStream:
    """Draws previews while anybody listens, and says where the camera is on /tf.

    One that takes longer than ``preview.rate_hz`` allows is followed by the next at once.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._pending: Future | None = None
        #: A preview was due before the one before it was drawn.
        self._late = False
        #: Previews published so far.
        self.published = 0
        core.create_rate_timer("preview", "preview.rate_hz", self._tick)

    def _tick(self) -> None:
        core = self._core
        if not core.active:
            return
        stamp_ns = core.pose_stamp_ns()
        core.broadcaster.send(core.names.link, core.rig.T_world_link, stamp_ns)
        if self._pending is not None:
            if not self._pending.done():
                self._late = True
                return
            done, self._pending = self._pending, None
            done.result()
        if core.worker.state == "ready" and self._listeners():
            target = core.rig.target(core.rig.preview_camera, stamp_ns)
            epoch = core.epoch
            self._late = False
            self._pending = core.worker.submit("read", lambda world: self._draw(world, target, epoch))
            self._pending.add_done_callback(self._on_drawn)

    def _on_drawn(self, _: Future) -> None:
        """Go on at once, if the next one is due; in the thread that drew."""
        executor = self._core.node.executor
        if self._late and executor is not None:
            executor.create_task(self._core.guarded("preview", self._tick))

    def _listeners(self) -> int:
        return sum(self._core.publishers[name].get_subscription_count() for name in _TOPICS)

    def _draw(self, world: World, target: Target, epoch: int) -> None:
        """Publish one preview, unless time has jumped back since it was asked for; in the worker's thread."""
        core, publishers = self._core, self._core.publishers
        shown = world.glimpse(target)
        if epoch != core.epoch:
            return
        frame_id = core.names.of("preview")
        head = header(frame_id, target.stamp_ns)
        core.broadcaster.send(frame_id, target.T_world_camera, target.stamp_ns)
        info = camera_to_message(target.camera, head)
        publishers["preview/image_raw"].publish(image_to_message(shown.image, head))
        publishers["preview/camera_info"].publish(info)
        publishers["preview/depth/image_rect"].publish(map_to_message(shown.depth, head))
        publishers["preview/depth/camera_info"].publish(info)
        compressed = publishers["preview/image_raw/compressed"]
        if compressed.get_subscription_count():
            compressed.publish(jpeg_to_message(shown.image, head, quality=core.parameters["preview.jpeg_quality"]))
        self.published += 1
