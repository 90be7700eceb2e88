"""Plans as Nav2's NavFn publishes them: on the floor, no headings but the goal's, once a second."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path as PathMessage
from std_msgs.msg import Header
from vmem_ros.msg import Status

from harness import SLOW, CameraProcess, Inbox, Probe, add_truth, pose_at
from link_poses import pose
from vmem_ros.geometry import geodesic_distance
from vmem_ros.messages.transforms import pose_from_message
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import PUBLISHED, SUBSCRIBED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import pose_to_message
from waiting import wait_until

HEIGHT_M, STEP_M, STEP_DEG = 0.4, 0.2, 15.0
#: Up along y, then a bend to the right, 5 cm apart; the goal looks to the right of where it ends.
PLACES = [(-1.2, -0.8 + 0.05 * i) for i in range(16)]
PLACES += [(-0.9 - 0.3 * math.cos(a), -0.05 + 0.3 * math.sin(a)) for a in np.linspace(0.15, math.pi / 2, 9)]
PLACES += [(-0.9 + 0.05 * i, 0.25) for i in range(1, 9)]
GOAL = pose(*PLACES[-1], yaw_deg=-60)


def plan(first: int) -> PathMessage:
    """The plan of a robot that stands at one of the places."""
    links = [*(pose(x, y) for x, y in PLACES[first:-1]), GOAL]
    head = Header(frame_id="map")
    return PathMessage(header=head, poses=[PoseStamped(header=head, pose=pose_to_message(T)) for T in links])


@pytest.fixture
def views(tmp_path: Path) -> Iterator[tuple[Inbox, CameraClient, Probe]]:
    parameters = {
        "engine": SLOW,
        "pose_height_m": HEIGHT_M,
        "path.sample_distance_m": STEP_M,
        "path.sample_angle_deg": STEP_DEG,
        "path.continue_s": 60.0,  # this machine may be busy
    }
    with CameraProcess(tmp_path / "log", parameters), CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, pose_at(-1.0))
        probe = Probe()
        yield probe.listen("memory/retrieval", PUBLISHED["memory/retrieval"].type, qos_profile("events")), client, probe
        probe.close()


def test_a_plan_is_seen_along_the_path_at_the_height_of_the_camera_once(
    views: tuple[Inbox, CameraClient, Probe],
) -> None:
    shown, client, probe = views
    path = probe.publisher("path", SUBSCRIBED["path"].type, qos_profile("command"))
    goal = GOAL.clone()
    goal[2, 3] = HEIGHT_M

    def drawn() -> torch.Tensor:
        return torch.stack([pose_from_message(m.pose) for m in list(shown.messages)])

    for second in range(4):  # the robot drives 10 cm a second, while the plan is drawn and after
        path.publish(plan(2 * second))
        time.sleep(1.0)
    wait_until(lambda: len(shown.messages) and torch.allclose(drawn()[-1], goal), "the goal")
    client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.queued == 0)
    path.publish(plan(8))
    time.sleep(0.5)
    client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.queued == 0)

    T = drawn()
    np.testing.assert_allclose(T[:, 2, 3], HEIGHT_M, atol=1e-9)
    # Along the path: every place of it is near a view that looks ahead, in a bend between before and after it.
    places = np.array(PLACES)
    ahead = np.gradient(places, axis=0)
    for place, direction in zip(places[:-4], ahead[:-4], strict=True):
        nearest = T[int(np.linalg.norm(T[:, :2, 3].numpy() - place, axis=1).argmin())]
        assert np.linalg.norm(nearest[:2, 3].numpy() - place) <= STEP_M
        assert nearest[:2, 0].numpy() @ direction / np.linalg.norm(direction) > math.cos(math.radians(50))
    # Once: no two views of about the same place and heading.
    metres = torch.linalg.vector_norm(T[:, None, :3, 3] - T[None, :, :3, 3], dim=-1)
    angles = geodesic_distance(T[:, None], T[None], translation_weight=0.0)
    steps = torch.maximum(metres / STEP_M, angles / math.radians(STEP_DEG)) + 10 * torch.eye(len(T))
    assert float(steps.min()) > 0.4
    # What leads there costs 8 steps and the bend, the turn at the end 4: not the same start four times.
    assert len(T) < 30
