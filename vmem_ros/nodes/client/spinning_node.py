"""A node that spins by itself, beside whatever else its process does with ROS."""

from __future__ import annotations

import threading
from contextlib import suppress

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions


class SpinningNode:
    """A node in a context and a thread of its own: any other thread may wait for what it receives.

    Give it publishers, subscriptions and clients, then :meth:`start` it.
    """

    def __init__(self, name: str, namespace: str, *, use_sim_time: bool = False) -> None:
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(
            name,
            namespace=namespace,
            context=self._context,
            parameter_overrides=[Parameter("use_sim_time", value=use_sim_time)],
            start_parameter_services=False,
        )
        self.executor = SingleThreadedExecutor(context=self._context)
        self.executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)

    def start(self) -> None:
        """Begin to spin."""
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and leave ROS; a second call does nothing."""
        if not self._context.ok():
            return
        self.executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        self._context.try_shutdown()

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self.executor.spin()
