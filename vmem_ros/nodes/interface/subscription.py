"""Subscriptions that hear every publisher: reliable ones reliably, best-effort ones too, and those of another type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions

#: What nodes are called until they are found, which is later than their topics.
UNKNOWN = "_NODE_NAME_UNKNOWN_"


class Subscribed:
    """A subscription, replaced by a best-effort one once a best-effort publisher is found.

    DDS never joins a best-effort publisher with a reliable subscription, and most drivers of cameras are best effort.

    :param overrides: policies that parameters can set; a reliability that somebody has set stays.
    :param options: of ``create_subscription``, for every subscription.
    """

    def __init__(
        self,
        node: Node,
        message_type: Any,
        topic: str,
        callback: Callable[[Any], Any],
        qos: QoSProfile,
        *,
        overrides: QoSOverridingOptions | None = None,
        **options: Any,
    ) -> None:
        self._node = node
        #: The full name of the topic.
        self.name = node.resolve_topic_name(topic)
        self._callback = callback
        self._options = options
        self._fixed = overrides is not None and _is_set(node, f"qos_overrides.{self.name}.subscription.reliability")
        #: The message class that is heard.
        self.message_type = message_type
        #: ROS names of the types that can be heard.
        self.types = [message_type_name(message_type)]
        #: Which publisher is not heard, and why, in words; empty: none is known of.
        self.refused = ""
        self._subscription = self._create(qos, qos_overriding_options=overrides)

    def end(self) -> None:
        """Hear nothing until :meth:`begin`."""
        self._node.destroy_subscription(self._subscription)

    def begin(self, message_type: Any) -> None:
        """Hear another type, after :meth:`end`.

        Not in the same callback: the executor holds what it has just asked, and DDS takes one type a topic and process.
        """
        self.message_type = message_type
        self._subscription = self._create(self._subscription.qos_profile)

    def _create(self, qos: QoSProfile, **options: Any) -> Any:
        return self._node.create_subscription(
            self.message_type,
            self.name,
            self._callback,
            qos,
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos),
            **options,
            **self._options,
        )

    def _on_incompatible_qos(self, event: Any) -> None:
        if event.last_policy_kind == QoSPolicyKind.RELIABILITY and not self._fixed:
            # Later, because the executor still holds the events of this subscription.
            self._node.executor.create_task(self._replace)
            return
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        self.refused = (
            f"{self.name}: a publisher is not heard, because its {policy} does not fit: change it there, or here with "
            f"the parameter qos_overrides.{self.name}.subscription.{policy}"
        )
        self._node.get_logger().warning(self.refused)

    def _replace(self) -> None:
        best_effort = self._subscription.qos_profile
        if best_effort.reliability == ReliabilityPolicy.BEST_EFFORT:  # another publisher came first
            return
        if self._node.destroy_subscription(self._subscription):
            self._node.get_logger().info(
                f"{self.name}: a publisher is best effort, so from now on this subscription is too"
            )
            best_effort.reliability = ReliabilityPolicy.BEST_EFFORT
            self._subscription = self._create(best_effort)


class EitherType:
    """Lets a subscription hear whichever of some message types is published.

    A process cannot hear two types on one topic. While both are published, the one that is heard already stays.

    :param types: message classes by their ROS names; the subscription hears the first.
    """

    def __init__(self, node: Node, subscribed: Subscribed, types: Mapping[str, Any]) -> None:
        self._node = node
        self._subscribed = subscribed
        self._types = types
        subscribed.types = list(types)
        self._heard = next(iter(types))
        self._ended = False
        self._told: set[tuple[str, str]] = set()

    @property
    def heard(self) -> str:
        """ROS name of the type of the messages that come."""
        return self._heard

    def look(self) -> None:
        """See who publishes, hear it from the next call on, and log it; to be called by a timer."""
        if self._ended:
            self._subscribed.begin(self._types[self._heard])
            self._ended = False
        publishers: dict[str, list[str]] = {}
        for info in self._node.get_publishers_info_by_topic(self._subscribed.name):
            publishers.setdefault(info.topic_type, []).append(info.node_name)
        known = [name for name in self._types if name in publishers]
        if known and self._heard not in known:
            self._subscribed.end()
            self._heard, self._ended = known[0], True
        for name, nodes in publishers.items():
            if UNKNOWN not in nodes:
                self._tell(name, ", ".join(sorted(nodes)))

    def _tell(self, name: str, nodes: str) -> None:
        if (name, self._heard) in self._told:
            return
        self._told.add((name, self._heard))
        logger, topic = self._node.get_logger(), self._subscribed.name
        if name == self._heard:
            logger.info(f"{topic}: hears {name} of {nodes}")
        else:
            logger.warning(f"{topic}: {name} of {nodes} is not heard, because {self._heard} is: stop one of the two")


def message_type_name(message_type: Any) -> str:
    """Return the ROS name of a message, service or action class, e.g. ``sensor_msgs/msg/Image``."""
    package, kind = message_type.__module__.split(".")[:2]
    return f"{package}/{kind}/{message_type.__name__}"


def _is_set(node: Node, parameter: str) -> bool:
    """Return whether a parameter that nobody has declared yet was given a value from outside."""
    value = node.declare_parameter(parameter, Parameter.Type.STRING).value
    node.undeclare_parameter(parameter)
    return value is not None
