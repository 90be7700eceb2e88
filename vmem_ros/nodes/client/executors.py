"""Who spins a node: what rclpy does not tell."""

from __future__ import annotations

import inspect

from rclpy.executors import Executor
from rclpy.node import Node


def has_executor(node: Node) -> bool:
    """Whether a node belongs to an executor now; one that was taken out of it still names it."""
    executor = node.executor
    return executor is not None and node in executor.get_nodes()


def is_spun_here(executor: Executor | None) -> bool:
    """Whether the caller runs in a callback of an executor that has no other thread for callbacks."""
    frame = inspect.currentframe()
    while executor is not None and frame is not None:
        # Callbacks of the threads of MultiThreadedExecutor have none of its methods below them.
        if "spin" in frame.f_code.co_name and frame.f_locals.get("self") is executor:
            return True
        frame = frame.f_back
    return False
