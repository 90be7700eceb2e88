"""Publishers are heard whatever their reliability: by the camera, and by the recorder."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from geometry_msgs.msg import PoseStamped
from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, Image

from harness import CAMERA, ROOT, CameraProcess, Probe, pose_at, psnr, seen_from, stamped, until
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface import conversions as c
from vmem_ros.nodes.interface.names import NODE_NAME, qos_profile
from vmem_ros.nodes.tools.processes import Processes

SEEDS = {"seed/image": Image, "seed/camera_info": CameraInfo, "seed/depth": Image, "seed/pose": PoseStamped}
BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.close()


def reliability_of(probe: Probe, node_name: str, topic: str) -> ReliabilityPolicy | None:
    """Return how a node subscribes to a topic, ``None`` if it does not, as the graph says."""
    infos = probe.node.get_subscriptions_info_by_topic(f"/vmem/{topic}")
    found = [info.qos_profile.reliability for info in infos if info.node_name == node_name]
    assert len(found) <= 1
    return found[0] if found else None


def test_drivers_of_cameras_are_best_effort(probe: Probe, tmp_path: Path) -> None:
    fixed = ["-p", "qos_overrides./vmem/pose.subscription.reliability:=reliable"]
    with (
        CameraProcess(tmp_path / "log", {"seed.pose_source": "topic"}, ros_args=fixed) as node,
        CameraClient() as client,
    ):
        client.wait_until_ready()
        until(lambda: reliability_of(probe, NODE_NAME, "seed/image") == RELIABLE, "the camera's subscription")
        publishers = {name: probe.publisher(name, kind, qos_profile_sensor_data) for name, kind in SEEDS.items()}
        T = pose_at(-1.0)
        view, stamp_ns = seen_from(T), int(probe.node.get_clock().now().nanoseconds)
        head = c.header("camera", stamp_ns)
        assert view.depth is not None
        publishers["seed/pose"].publish(stamped(T, stamp_ns=stamp_ns))
        publishers["seed/camera_info"].publish(c.camera_to_message(CAMERA, head))
        publishers["seed/depth"].publish(c.map_to_message(view.depth, head))
        publishers["seed/image"].publish(c.image_to_message(view.image, head))
        client.wait_for(lambda status: status.stored_views == 1, timeout_s=10.0)
        assert psnr(client.capture(T).image, view.image) > 30
        for name in SEEDS:
            assert reliability_of(probe, NODE_NAME, name) == BEST_EFFORT
            assert node.log.count(f"/vmem/{name}: a publisher is best effort") == 1
        # Where nobody is best effort, nothing is lost; and what a parameter says stays.
        assert reliability_of(probe, NODE_NAME, "path") == RELIABLE
        probe.node.create_publisher(PoseStamped, "pose", qos_profile_sensor_data)
        until(lambda: "/vmem/pose: a publisher is not heard, because its reliability" in node.log, "the warning")
        assert reliability_of(probe, NODE_NAME, "pose") == RELIABLE


def test_the_recorder_writes_what_is_best_effort(probe: Probe, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    with Processes(environment, log_folder=tmp_path / "logs") as processes:
        recorder = processes.start(
            "tools.recorder", ["--out", str(tmp_path / "bag"), "--ros-args", "-r", "__ns:=/vmem"]
        )
        acknowledged = probe.publisher("pose", PoseStamped, qos_profile("command"))
        lossy = probe.publisher("seed/image", Image, qos_profile_sensor_data)
        lossy.publish(c.image_to_message(seen_from(pose_at(-1.0)).image, c.header("camera", 5)))
        acknowledged.publish(stamped(pose_at(-1.0), stamp_ns=7))
        assert reliability_of(probe, "vmem_recorder", "seed/image") == BEST_EFFORT
        assert reliability_of(probe, "vmem_recorder", "pose") == RELIABLE
        time.sleep(1.0)
        recorder.popen.send_signal(signal.SIGINT)
        assert recorder.popen.wait(20) == 0
    with Reader(tmp_path / "bag") as bag:
        recorded = [connection.topic for connection, _, _ in bag.messages()]
    assert {"/vmem/seed/image", "/vmem/pose"} <= set(recorded)
    assert recorded.count("/vmem/seed/image") == 1
