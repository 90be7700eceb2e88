"""Subscriptions that hear every publisher: reliable ones reliably, best-effort ones too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSPolicyKind, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions


def subscribe(
    node: Node,
    message_type: Any,
    topic: str,
    callback: Callable[[Any], Any],
    qos: QoSProfile,
    *,
    overrides: QoSOverridingOptions | None = None,
    **options: Any,
) -> None:
    """Subscribe, and once a best-effort publisher is found, replace the subscription by a best-effort one.

    DDS never joins a best-effort publisher with a reliable subscription, and most drivers of cameras are best effort.

    :param overrides: policies that parameters can set; a reliability that somebody has set stays.
    :param options: of ``create_subscription``, for both subscriptions.
    """
    name = node.resolve_topic_name(topic)
    fixed = overrides is not None and _is_set(node, f"qos_overrides.{name}.subscription.reliability")

    def on_incompatible_qos(event: Any) -> None:
        if event.last_policy_kind == QoSPolicyKind.RELIABILITY and not fixed:
            # Later, because the executor still holds the events of this subscription.
            node.executor.create_task(replace)
            return
        policy = qos_policy_name_from_kind(event.last_policy_kind).lower()
        node.get_logger().warning(f"{name}: a publisher is not heard, because its {policy} does not fit")

    def replace() -> None:
        if node.destroy_subscription(subscription):  # not if another publisher came first
            node.get_logger().info(f"{name}: a publisher is best effort, so from now on this subscription is too")
            best_effort = subscription.qos_profile
            best_effort.reliability = ReliabilityPolicy.BEST_EFFORT
            node.create_subscription(message_type, topic, callback, best_effort, **options)

    subscription = node.create_subscription(
        message_type,
        topic,
        callback,
        qos,
        qos_overriding_options=overrides,
        event_callbacks=SubscriptionEventCallbacks(incompatible_qos=on_incompatible_qos),
        **options,
    )


def _is_set(node: Node, parameter: str) -> bool:
    """Return whether a parameter that nobody has declared yet was given a value from outside."""
    value = node.declare_parameter(parameter, Parameter.Type.STRING).value
    node.undeclare_parameter(parameter)
    return value is not None
