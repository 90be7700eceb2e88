"""Times and headers."""

import pytest

from vmem_ros.messages.message_types import MessageTypes
from vmem_ros.messages.stamps import header, ns_to_stamp, stamp_to_ns


@pytest.mark.parametrize("stamp_ns", [0, 1, 999_999_999, 1_500_000_002, 2**31 * 10**9 - 1])
def test_round_trip(types: MessageTypes, stamp_ns: int) -> None:
    stamp = ns_to_stamp(types, stamp_ns)
    assert stamp_to_ns(stamp) == stamp_ns
    assert 0 <= stamp.nanosec < 10**9


def test_header(types: MessageTypes) -> None:
    head = header(types, "map", 1_500_000_002)
    assert (head.frame_id, head.stamp.sec, head.stamp.nanosec) == ("map", 1, 500_000_002)
