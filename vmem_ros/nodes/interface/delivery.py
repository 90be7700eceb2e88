"""Publishing to somebody: wait until subscribers are there, and until they have what was published."""

from __future__ import annotations

import time
from collections.abc import Mapping

from rclpy.duration import Duration
from rclpy.publisher import Publisher

from vmem_ros.errors import NotReadyError

_POLL_S = 0.05


def wait_for_subscribers(publishers: Mapping[str, Publisher], count: int = 1, *, timeout_s: float) -> None:
    """Wait until each publisher, by its topic, is matched with so many subscribers.

    A volatile message that is published earlier never reaches those that are discovered later.

    :raises NotReadyError: they do not come.
    """
    end = time.monotonic() + timeout_s
    while missing := {t: n for t, p in publishers.items() if (n := p.get_subscription_count()) < count}:
        if time.monotonic() > end:
            found = ", ".join(f"{topic} ({n})" for topic, n in missing.items())
            raise NotReadyError(
                f"waited {timeout_s:g} s for {count} subscriber{'s' if count > 1 else ''} of {found}: start them, or "
                "remap the topics"
            )
        time.sleep(_POLL_S)


def wait_until_received(publishers: Mapping[str, Publisher], *, timeout_s: float) -> None:
    """Wait until all reliable subscribers have acknowledged what was published; at most ``timeout_s`` in all.

    A publisher that is destroyed earlier takes with it what it had not sent yet.
    """
    end = time.monotonic() + timeout_s
    for publisher in publishers.values():
        publisher.wait_for_all_acked(Duration(seconds=max(0.0, end - time.monotonic())))
