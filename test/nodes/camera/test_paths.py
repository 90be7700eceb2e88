"""Paths that come one after the other, as from a planner: what replaces what, and when."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from nav_msgs.msg import Path as PathMessage
from std_msgs.msg import Header
from vmem_ros.msg import Status

from harness import SLOW, CameraProcess, Inbox, Probe, add_truth, pose_at, stamped
from slow_engine import STEP_S, STEPS
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import PUBLISHED, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import header, transform_to_message
from waiting import WAIT_S, wait_until

CHUNK_S = STEPS * STEP_S


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient
    shown: Inbox
    path: Any

    def send(self, *y: float, frame: str = "map") -> None:
        """Publish a path across the room, which is sampled every 0.1 m."""
        poses = [stamped(pose_at(-1.0, value, look=(3.0, value, 0.0)), frame="") for value in y]
        self.path.publish(PathMessage(header=Header(frame_id=frame), poses=poses))

    def views(self) -> list[float]:
        """Return where along y each view was drawn."""
        return [round(m.pose.position.y, 6) for m in list(self.shown.messages)]

    def at_rest(self) -> None:
        self.client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.queued == 0)

    def refused(self, *y: float, why: str) -> None:
        """Publish a path until the log says why it is refused: equal complaints are logged once a second."""

        def logged() -> bool:
            self.send(*y)
            return why in self.node.log

        wait_until(logged, f"{why!r} in the log", seen=lambda: self.node.log)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    parameters = {"engine": SLOW, "path.sample_distance_m": 0.1, "path.max_views": 20, "tf_timeout_s": 30.0}
    parameters["path.heading"] = "given"  # across the room, with a view of its far wall
    with CameraProcess(tmp_path_factory.mktemp("paths") / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        shown = probe.listen("memory/retrieval", PUBLISHED["memory/retrieval"].type, qos_profile("events"))
        path = probe.publisher("path", SUBSCRIBED["path"].type, qos_profile("command"))
        yield Setup(node, probe, client, shown, path)
        probe.close()


@pytest.fixture
def setup(running: Setup) -> Setup:
    """A world with one observed view, at rest, of which no view was drawn yet."""
    running.at_rest()
    running.client.reset()
    add_truth(running.client, pose_at(-1.0))
    running.shown.messages.clear()
    return running


def test_a_planner_that_is_faster_than_a_chunk_starves_nobody(setup: Setup) -> None:
    """Each path replaces the one that waits; the one that is drawn ends after the chunk in work."""
    starts = itertools.cycle(np.linspace(-0.9, 0.3, 25))
    for number, y in enumerate(starts):
        setup.send(y, y + 0.45)
        time.sleep(CHUNK_S / 2)
        if number >= 25 and len(setup.views()) >= 6:
            break
        assert number < WAIT_S / CHUNK_S, f"after {number} paths {len(setup.views())} views"
    wait_until(lambda: setup.views()[-1:] == [round(y + 0.45, 6)], "the end of the newest path")
    setup.at_rest()
    assert "path: CANCELLED" not in setup.node.log
    assert setup.client.status.error_code == 0


def test_bad_paths_leave_the_running_one_alone(setup: Setup) -> None:
    setup.send(-0.5, 0.5)
    wait_until(setup.views, "the first view")
    setup.refused(why="path: INVALID_POSE: the path has no poses")
    setup.refused(-1.0, 1.5, why="path: INVALID_POSE: the path needs 26 views")
    setup.at_rest()
    wait_until(lambda: setup.views()[-1:] == [0.5], "the end of the path")
    np.testing.assert_allclose(setup.views(), np.linspace(-0.5, 0.5, 11), atol=1e-6)


def test_the_newest_path_wins_though_an_older_one_waited_for_its_frame(setup: Setup) -> None:
    tf2_msgs = pytest.importorskip(
        "tf2_msgs.msg", reason="tf2_msgs is not installed (make setup builds a test overlay)"
    )
    setup.send(-0.5, -0.1, frame="late")
    tf = setup.probe.publisher("/tf", tf2_msgs.TFMessage, qos_profile("events"))  # the node listens from now on
    previews = setup.probe.listen("preview/image_raw", PUBLISHED["preview/image_raw"].type, qos_profile("stream"))
    setup.client.pause()
    setup.send(0.0, 0.5)
    setup.client.wait_for(lambda s: s.queued == 1)
    stamp_ns = setup.probe.node.get_clock().now().nanoseconds
    late = transform_to_message(torch.eye(4, dtype=torch.float64), header("map", stamp_ns), "late")
    tf.publish(tf2_msgs.TFMessage(transforms=[late]))
    setup.client.render(stamped(pose_at(-1.0), frame="late", stamp_ns=stamp_ns))  # the frame is known
    # The older path looks for its frame fifty times a second, and is then dropped without a sign.
    shown = len(previews.messages)
    wait_until(lambda: len(previews.messages) > shown + 3, "three previews, twenty a second")
    setup.client.pause(False)
    wait_until(lambda: setup.views()[-1:] == [0.5], "the end of the newest path")
    setup.at_rest()
    np.testing.assert_allclose(setup.views(), np.linspace(0.0, 0.5, 6), atol=1e-6)
