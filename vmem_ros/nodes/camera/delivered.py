"""Waiting until what was published has arrived."""

from __future__ import annotations

import time
from collections.abc import Iterable

from rclpy.duration import Duration
from rclpy.publisher import Publisher

# A reliable publisher that keeps few samples overwrites what a slow subscriber has not got yet; wait so long for it.
_DELIVERY_S = 0.2


def await_delivery(publishers: Iterable[Publisher]) -> None:
    """Wait, within bounds, until every subscriber has what was published before; not in the executor's thread."""
    end = time.monotonic() + _DELIVERY_S
    for publisher in publishers:
        # Asked with no wait of its own, because that would hold the interpreter's lock.
        while not publisher.wait_for_all_acked(Duration()) and time.monotonic() < end:
            time.sleep(0.001)
