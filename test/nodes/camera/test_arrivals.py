"""Lost messages are told by stamps: those of others that came in between, and not the pace of the driver."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from vmem_ros.nodes.camera.arrivals import Arrivals, lost_shares

FRAMES = np.arange(60)


def shares(**numbers: Iterable[int]) -> dict[str, float]:
    """Return what is lost of topics of which frames with these numbers came, thirty a second."""
    topics = {name: Arrivals() for name in numbers}
    for name, frames in numbers.items():
        for number in frames:
            topics[name].add(1_000_000_000_000 + int(number) * 33_333_333)
    return lost_shares(topics)


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.2])
def test_what_is_lost_at_random(kept: float) -> None:
    frames = np.arange(300)
    came = frames[np.random.default_rng(4).random(len(frames)) < kept]
    found = shares(image=came, depth=frames[::3], info=frames)
    assert found["image"] == pytest.approx(1 - kept, abs=0.12)
    assert found["depth"] == found["info"] == 0


def test_a_driver_that_changes_its_pace_or_pauses_has_lost_nothing() -> None:
    slow = np.concatenate([FRAMES[:30], 30 + 6 * np.arange(20)])
    assert shares(image=slow, info=slow) == {"image": 0, "info": 0}
    jitter = np.round(FRAMES * 10 + np.random.default_rng(1).normal(0, 3, len(FRAMES)))
    assert shares(image=jitter, info=jitter) == {"image": 0, "info": 0}


def test_a_topic_that_is_restarted_has_lost_nothing_since() -> None:
    restarted = np.concatenate([FRAMES[:5], FRAMES[:30] + 120])
    assert shares(image=restarted, info=np.arange(150))["image"] == 0


def test_time_that_jumps_back_begins_anew_and_no_time_is_left_out() -> None:
    topic = Arrivals()
    for stamp in (5, 6, 0, 7, 3, 4):
        topic.add(stamp)
    assert topic.stamps.tolist() == [3, 4]


def test_few_messages_say_nothing() -> None:
    assert shares(image=[0, 5, 9], info=FRAMES) == {"image": 0, "info": 0}
    assert shares() == {}
