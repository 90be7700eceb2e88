"""Generated views as image_transport's plug-ins would send them: JPEG, and inverse depth as PNG."""

from __future__ import annotations

from std_msgs.msg import Header
from torch import Tensor

from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.interface.rclpy_messages import compressed_depth_to_message, jpeg_to_message

IMAGE, DEPTH = "camera/image_raw/compressed", "camera/depth/image_rect/compressedDepth"
_LATE_S = 0.5


class CompressedStream:
    """Encodes each view for those who listen, in the worker's thread; the newest one also for those who come later."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._newest: tuple[Tensor, Tensor, Header] | None = None
        # Topics on which the newest view has not been published: nobody listened.
        self._due: frozenset[str] = frozenset()
        core.create_timer("compressed views", _LATE_S, self._tick)

    def publish(self, image: Tensor, depth: Tensor, head: Header) -> None:
        """Publish a view where somebody listens.

        :param image: [H, W, 3] uint8 RGB.
        :param depth: [H, W] float32 metres.
        """
        self._newest, self._due = (image, depth, head), frozenset({IMAGE, DEPTH})
        self._publish_due()

    def _tick(self) -> None:
        if self._core.active and self._core.worker.state == "ready" and self._heard():
            self._core.worker.submit("read", lambda world: self._publish_due())

    def _heard(self) -> set[str]:
        return {name for name in self._due if self._core.publishers[name].get_subscription_count()}

    def _publish_due(self) -> None:
        if self._newest is None:
            return
        image, depth, head = self._newest
        publishers = self._core.publishers
        for name in self._heard():
            self._due -= {name}
            if name == IMAGE:
                quality = self._core.parameters["camera.jpeg_quality"]
                publishers[name].publish(jpeg_to_message(image, head, quality=quality))
            else:
                publishers[name].publish(compressed_depth_to_message(depth, head))
