"""Publishers are heard whatever their reliability: by the camera, and by the recorder."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from geometry_msgs.msg import PoseStamped
from rclpy.qos import ReliabilityPolicy, qos_profile_sensor_data
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, Image

from harness import CAMERA, ROOT, CameraProcess, Probe, pose_at, psnr, seen_from, stamped
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.delivery import wait_until_received
from vmem_ros.nodes.interface.names import NODE_NAME, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header, image_to_message, map_to_message
from vmem_ros.nodes.tools.processes import Processes
from waiting import WAIT_S, wait_until

SEEDS = {"seed/image": Image, "seed/camera_info": CameraInfo, "seed/depth": Image, "seed/pose": PoseStamped}
BEST_EFFORT, RELIABLE = ReliabilityPolicy.BEST_EFFORT, ReliabilityPolicy.RELIABLE


@pytest.fixture
def probe() -> Iterator[Probe]:
    probe = Probe()
    yield probe
    probe.close()


def expect(probe: Probe, topic: str, expected: ReliabilityPolicy, *, node_name: str = NODE_NAME) -> None:
    """Wait until a node subscribes to a topic once, in the way that is expected."""

    def found() -> list[ReliabilityPolicy]:
        infos = probe.node.get_subscriptions_info_by_topic(f"/vmem/{topic}")
        return [info.qos_profile.reliability for info in infos if info.node_name == node_name]

    wait_until(lambda: found() == [expected], f"a subscription of {node_name} to {topic}: {expected.name}", seen=found)


def test_drivers_of_cameras_are_best_effort(probe: Probe, tmp_path: Path) -> None:
    fixed = ["-p", "qos_overrides./vmem/pose.subscription.reliability:=reliable"]
    with (
        CameraProcess(tmp_path / "log", {"seed.pose_source": "topic"}, ros_args=fixed) as node,
        CameraClient() as client,
    ):
        client.wait_until_ready()
        expect(probe, "seed/image", RELIABLE)
        publishers = {name: probe.publisher(name, kind, qos_profile_sensor_data) for name, kind in SEEDS.items()}
        T = pose_at(-1.0)
        view, stamp_ns = seen_from(T), int(probe.node.get_clock().now().nanoseconds)
        head = header("camera", stamp_ns)
        assert view.depth is not None
        publishers["seed/pose"].publish(stamped(T, stamp_ns=stamp_ns))
        publishers["seed/camera_info"].publish(camera_to_message(CAMERA, head))
        publishers["seed/depth"].publish(map_to_message(view.depth, head))
        publishers["seed/image"].publish(image_to_message(view.image, head))
        client.wait_for(lambda status: status.stored_views == 1)
        assert psnr(client.capture(T).image, view.image) > 30
        for name in SEEDS:
            expect(probe, name, BEST_EFFORT)
            assert node.log.count(f"/vmem/{name}: a publisher is best effort") == 1
        # Where nobody is best effort, nothing is lost; and what a parameter says stays.
        expect(probe, "path", RELIABLE)
        probe.node.create_publisher(PoseStamped, "pose", qos_profile_sensor_data)
        wait_until(lambda: "/vmem/pose: a publisher is not heard, because its reliability" in node.log, "the warning")
        expect(probe, "pose", RELIABLE)


def test_the_recorder_writes_what_is_best_effort(probe: Probe, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    with Processes(environment, log_folder=tmp_path / "logs") as processes:
        recorder = processes.start(
            "tools.recorder", ["--out", str(tmp_path / "bag"), "--ros-args", "-r", "__ns:=/vmem"]
        )
        acknowledged = probe.publisher("pose", PoseStamped, qos_profile("command"))
        lossy = probe.publisher("seed/image", Image, qos_profile_sensor_data)
        lossy.publish(image_to_message(seen_from(pose_at(-1.0)).image, header("camera", 5)))
        acknowledged.publish(stamped(pose_at(-1.0), stamp_ns=7))
        expect(probe, "seed/image", BEST_EFFORT, node_name="vmem_recorder")
        expect(probe, "pose", RELIABLE, node_name="vmem_recorder")
        wait_until_received({"pose": acknowledged}, timeout_s=WAIT_S)
        recorder.popen.send_signal(signal.SIGINT)
        assert recorder.popen.wait(WAIT_S) == 0
    with Reader(tmp_path / "bag") as bag:
        recorded = [connection.topic for connection, _, _ in bag.messages()]
    assert {"/vmem/seed/image", "/vmem/pose"} <= set(recorded)
    assert recorded.count("/vmem/seed/image") == 1
