"""Joining messages by their stamps: ``made`` holds the stamps in ms of the sets that went out."""

from __future__ import annotations

import itertools

import pytest
from sensor_msgs.msg import Image

from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.camera.synchroniser import Synchroniser
from vmem_ros.nodes.interface.rclpy_messages import header

PATIENCE_S = 0.5


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def made() -> list[tuple[int, ...]]:
    return []


@pytest.fixture
def synchroniser(made: list[tuple[int, ...]], now: list[float]) -> Synchroniser:
    return Synchroniser(
        {"image": 4, "info": 4, "depth": 4},
        lambda messages: made.append(tuple(stamp_to_ns(m.header.stamp) // 1_000_000 for m in messages.values())),
        slop_s=lambda: 0.05,
        patience_s=PATIENCE_S,
        clock=lambda: now[0],
    )


def add(synchroniser: Synchroniser, topic: str, *stamps_ms: int) -> None:
    for stamp in stamps_ms:
        synchroniser.add(topic, Image(header=header("", stamp * 1_000_000)))


@pytest.mark.parametrize("order", list(itertools.permutations(("image", "info", "depth"))))
def test_equal_stamps_are_joined_at_once(
    synchroniser: Synchroniser, made: list[tuple[int, ...]], order: tuple[str, ...]
) -> None:
    for topic in order:
        assert not made
        add(synchroniser, topic, 1000)
    assert made == [(1000, 1000, 1000)]
    synchroniser.release()
    assert len(made) == 1


def test_a_lost_message_is_not_replaced_by_one_of_the_next_frame(
    synchroniser: Synchroniser, made: list[tuple[int, ...]]
) -> None:
    """Thirty frames a second: the neighbour is within the slop."""
    add(synchroniser, "image", 0)
    add(synchroniser, "info", 0)
    for stamp in (33, 66):
        for topic in ("image", "info", "depth"):
            add(synchroniser, topic, stamp)
    assert made == [(33, 33, 33), (66, 66, 66)]


def test_an_image_that_comes_late_still_gets_its_own_depth(
    synchroniser: Synchroniser, made: list[tuple[int, ...]]
) -> None:
    """Depth of the first frame is lost, and large images come later than depth."""
    add(synchroniser, "image", 0)
    add(synchroniser, "info", 0, 33)
    add(synchroniser, "depth", 43, 76)
    assert not made
    add(synchroniser, "image", 33, 66)
    assert made == [(33, 33, 43)]


@pytest.mark.parametrize("offset", [-13, -10, 10, 13])
def test_constant_offsets_pair_each_message_once(
    synchroniser: Synchroniser, made: list[tuple[int, ...]], now: list[float], offset: int
) -> None:
    frames = (33, 66, 100, 133, 166)
    for stamp in frames:
        stamps = {"image": stamp, "info": stamp, "depth": stamp + offset}
        for topic in sorted(stamps, key=stamps.__getitem__):
            now[0] = stamps[topic] / 1000
            add(synchroniser, topic, stamps[topic])
    expected = [(stamp, stamp, stamp + offset) for stamp in frames]
    assert made == expected[:-1]
    now[0] += PATIENCE_S + 0.01
    synchroniser.release()
    assert made == expected


def test_the_nearer_one_is_waited_for_but_not_for_ever(
    synchroniser: Synchroniser, made: list[tuple[int, ...]], now: list[float]
) -> None:
    add(synchroniser, "depth", 960)
    add(synchroniser, "info", 1000)
    add(synchroniser, "image", 1000)
    now[0] += PATIENCE_S - 0.01
    add(synchroniser, "depth", 1020)
    now[0] += 0.02
    synchroniser.release()
    assert not made, "1020 has just come, and an image that is nearer to it may follow"
    now[0] += PATIENCE_S
    synchroniser.release()
    assert made == [(1000, 1000, 1020)]


def test_poses_at_a_high_rate(made: list[tuple[int, ...]]) -> None:
    poses = Synchroniser(
        {"image": 4, "pose": 40},
        lambda messages: made.append(tuple(stamp_to_ns(m.header.stamp) // 1_000_000 for m in messages.values())),
        slop_s=lambda: 0.05,
        patience_s=PATIENCE_S,
    )
    for at in range(0, 200, 5):
        add(poses, "pose", at)
        if at % 30 == 0:
            add(poses, "image", at + 2)
    assert made == [(2, 0), (32, 30), (62, 60), (92, 90), (122, 120), (152, 150), (182, 180)]


def test_too_far_apart(synchroniser: Synchroniser, made: list[tuple[int, ...]], now: list[float]) -> None:
    add(synchroniser, "image", 1000)
    add(synchroniser, "info", 1000)
    add(synchroniser, "depth", 1060, 1200)
    now[0] += PATIENCE_S
    synchroniser.release()
    assert not made


def test_frames_from_before_a_topic_came_are_not_apart_from_its_first(
    synchroniser: Synchroniser, made: list[tuple[int, ...]]
) -> None:
    add(synchroniser, "image", 0, 33, 66)
    add(synchroniser, "info", 0, 33, 66)
    for topic in ("image", "info", "depth"):
        add(synchroniser, topic, 400)
    assert made == [(400, 400, 400)]
    assert [(miss.topic, miss.lead_ns // 10**6, miss.stamp_ns) for miss in synchroniser.misses()] == [
        ("depth", stamp, None) for stamp in (0, 33, 66)
    ]


def test_missing_topic_is_named_when_others_have_waited(synchroniser: Synchroniser, now: list[float]) -> None:
    add(synchroniser, "image", 1000)
    add(synchroniser, "info", 1000)
    assert synchroniser.waits_for() == []
    now[0] += PATIENCE_S
    assert synchroniser.waits_for() == ["depth"]
    add(synchroniser, "depth", 1000)
    assert synchroniser.waits_for() == []


def test_what_waits_is_bounded(synchroniser: Synchroniser, made: list[tuple[int, ...]]) -> None:
    stamps = [1000 * i for i in range(10)]
    for topic in ("image", "info", "depth"):
        add(synchroniser, topic, *stamps)
    assert made == [(stamp, stamp, stamp) for stamp in stamps[-4:]]


def test_a_camera_whose_clock_was_set_back_is_heard_again(
    synchroniser: Synchroniser, made: list[tuple[int, ...]]
) -> None:
    add(synchroniser, "image", *range(9000, 9400, 100))
    for stamp in (100, 200):
        for topic in ("image", "info", "depth"):
            add(synchroniser, topic, stamp)
    assert made == [(100, 100, 100), (200, 200, 200)]
