"""When the world has changed, by the statuses of the camera node."""

from __future__ import annotations

import math

from vmem_ros.msg import Status

from vmem_ros.nodes.client.world_changes import WorldChanges
from vmem_ros.nodes.interface.rclpy_messages import ns_to_stamp


def status(stamp_ns: int, *, views: int = 1, nbytes: int = 100, surfels: float = 7.0, queued: int = 0) -> Status:
    return Status(
        stamp=ns_to_stamp(stamp_ns),
        stored_views=views,
        memory_bytes=nbytes,
        figure_names=["surfels"],
        figure_values=[surfels],
        queued=queued,
    )


def newest_after(*statuses: Status) -> int:
    changes = WorldChanges()
    for each in statuses:
        changes.note(each)
    return changes.newest_ns


def test_nothing_is_known_of_what_was_before_the_first_status() -> None:
    assert newest_after() == 0
    assert newest_after(status(5)) == 0


def test_the_first_status_with_other_figures_tells_when() -> None:
    assert newest_after(status(5), status(6, views=2), status(7, views=2)) == 6
    assert newest_after(status(5), status(6, nbytes=200), status(8, nbytes=200)) == 6
    assert newest_after(status(5), status(6, views=2), status(9, views=2, surfels=6.0)) == 9


def test_what_the_node_does_is_no_change_of_the_world() -> None:
    assert newest_after(status(5), status(6, queued=1), status(7)) == 0
    assert newest_after(status(5, surfels=math.nan), status(6, surfels=math.nan)) == 0


def test_time_that_has_jumped_back() -> None:
    """Clouds of the new time are all older than what was told before."""
    assert newest_after(status(5), status(10**12, views=2), status(3, views=0)) == 0
    assert newest_after(status(5), status(10**12, views=2), status(3), status(4, views=2)) == 4
