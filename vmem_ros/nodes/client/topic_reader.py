"""The newest message of a few topics, for scripts: subscribe, wait for what is wanted, leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from vmem_ros.errors import NotReadyError
from vmem_ros.nodes.client.spinning_node import SpinningNode
from vmem_ros.nodes.interface.names import NAMESPACE, PUBLISHED, qos_profile


class TopicReader:
    """Subscribes to topics of the camera in a context and a thread of its own; leaving the ``with`` block ends both.

    :param topics: names from :data:`vmem_ros.nodes.interface.names.PUBLISHED`.
    """

    def __init__(self, *topics: str, namespace: str = NAMESPACE) -> None:
        self._newest: dict[str, Any] = {}
        self._changed = threading.Condition()
        self._spinning = SpinningNode("vmem_topic_reader", namespace)
        self._node = self._spinning.node
        for name in topics:
            topic = PUBLISHED[name]
            self._node.create_subscription(
                topic.type, name, lambda message, name=name: self._on_message(name, message), qos_profile(topic.qos)
            )
        self._spinning.start()

    def wait_for(self, topic: str, wanted: Callable[[Any], bool] = lambda message: True, *, timeout_s: float) -> Any:
        """Return the newest message of a topic, once there is one that is wanted.

        :raises NotReadyError: none came within ``timeout_s``.
        """
        end = time.monotonic() + timeout_s
        with self._changed:
            while (message := self._newest.get(topic)) is None or not wanted(message):
                if not self._changed.wait(timeout=end - time.monotonic()):
                    raise NotReadyError(
                        f"waited {timeout_s:g} s for a message on {self._node.resolve_topic_name(topic)}"
                    )
            return message

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spinning.close()

    def _on_message(self, topic: str, message: Any) -> None:
        with self._changed:
            self._newest[topic] = message
            self._changed.notify_all()
