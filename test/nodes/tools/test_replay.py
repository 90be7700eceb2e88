"""A recorded drive fills the memory of another camera; a camera without depth fills it too."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from geometry_msgs.msg import PoseStamped
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, Image

from harness import CAMERA, ROOT, CameraProcess, Probe, pose_at, psnr, seen_from
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import qos_profile
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header, image_to_message, pose_to_message
from vmem_ros.nodes.tools.processes import Processes, ProcessFailedError
from vmem_ros.pointmaps.depth_network import DepthNetwork
from vmem_ros.showcase.scenario import house_scenario
from vmem_ros.types import IMAGINED_CONFIDENCE, Target
from waiting import WAIT_S

HOUSE, STOPS = 1_000_003, 2
SECONDS_PER_VIEW = 1.5
# Three processes begin, and a house is drawn.
LIMIT_S = 3 * WAIT_S
NAMESPACE = ["--ros-args", "-r", "__ns:=/vmem"]
PARAMETERS = {"seed.pose_source": "topic", "seed.min_translation_m": 0.0, "seed.min_rotation_deg": 0.0}


def processes_in(folder: Path) -> Processes:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return Processes({**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, log_folder=folder / "logs")


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a drive of the demo's robot through a house, as our recorder wrote it."""
    folder = tmp_path_factory.mktemp("drive")
    drive = ["--house", str(HOUSE), "--stops", str(STOPS), "--width", "96"]
    with CameraProcess(folder / "log", PARAMETERS) as _, processes_in(folder) as processes:
        with CameraClient() as client:
            client.wait_until_ready()
        recorder = processes.start("tools.recorder", ["--out", str(folder / "bag"), *NAMESPACE])
        robot = processes.start("demo.robot", [*drive, "--subscribers", "2", *NAMESPACE])
        processes.wait_for(robot, beside=[recorder], limit_s=LIMIT_S)
    return folder / "bag"


def test_a_replayed_drive_is_remembered_and_the_rest_is_invented(recording: Path, tmp_path: Path) -> None:
    scenario = house_scenario(HOUSE, views=24, width=96, stops=STOPS)
    camera = scenario.robot[0].camera
    size = {"camera.width": camera.width, "camera.height": camera.height, "camera.fov_deg": 75.0}
    with (
        CameraProcess(tmp_path / "log", {**PARAMETERS, **size}) as _,
        CameraClient() as client,
        processes_in(tmp_path) as processes,
    ):
        client.wait_until_ready()
        # The robot drove as fast as memory took its views; a camera skips views that come faster than it takes them.
        with Reader(recording) as bag:
            taken_ns = [time for connection, time, _ in bag.messages() if connection.topic == "/vmem/seed/image"]
        rate = (taken_ns[-1] - taken_ns[0]) * 1e-9 / (SECONDS_PER_VIEW * len(scenario.robot))
        player = processes.start("tools.player", [str(recording), "--rate", f"{rate:.6f}", *NAMESPACE])
        processes.wait_for(player, beside=[], limit_s=LIMIT_S)
        client.wait_for(lambda status: status.stored_views == len(scenario.robot))
        asked = list(scenario.ask(2.0).path[::6])
        views = client.generate([target.T_world_camera for target in asked])
        looked = client.capture(scenario.robot[0].T_world_camera)
    # Where the robot stood and looked, nothing is new.
    assert psnr(looked.image, scenario.look(scenario.robot[0]).image) > 25
    confidence = np.stack([np.asarray(view.confidence) for view in views])
    seen = confidence > IMAGINED_CONFIDENCE + 0.01
    assert 0.2 < seen.mean() < 0.999
    assert (confidence[~seen] <= IMAGINED_CONFIDENCE + 0.01).all()
    truth = np.stack([scenario.look(Target(camera, target.T_world_camera)).image.numpy() for target in asked])
    images = np.stack([np.asarray(view.image) for view in views])
    assert psnr(images[seen], truth[seen]) > 16
    invented = confidence == 0
    assert invented.any()
    assert psnr(images[seen], truth[seen]) > psnr(images[invented], truth[invented])


def test_what_is_no_drive_is_named(tmp_path: Path) -> None:
    with processes_in(tmp_path) as processes:
        player = processes.start("tools.player", [str(tmp_path / "nothing")], log=True)
        with pytest.raises(ProcessFailedError, match=r"player failed with exit code 1: see .*player\.log"):
            processes.wait_for(player, beside=[], limit_s=LIMIT_S)
    assert "is no recording that can be read" in (tmp_path / "logs" / "player.log").read_text()


def test_images_alone_seed_a_world_with_a_depth_network(tmp_path: Path) -> None:
    torch.manual_seed(0)
    DepthNetwork(widths=(8, 16), blocks=(1, 1), attention_blocks=1, head_width=8, focal_px=40.0).save_pretrained(
        tmp_path / "network"
    )
    parameters = {
        **PARAMETERS,
        "seed.depth": False,
        "geometry.estimator": "small",
        "geometry.model": str(tmp_path / "network"),
    }
    T, stream = pose_at(-1.0), qos_profile("sensor")
    view = seen_from(T)
    with CameraProcess(tmp_path / "log", parameters) as _, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        kinds = {"image": Image, "camera_info": CameraInfo, "pose": PoseStamped}
        publish = {name: probe.publisher(f"seed/{name}", kind, stream).publish for name, kind in kinds.items()}
        stamp_ns = int(probe.node.get_clock().now().nanoseconds)
        head = header("camera", stamp_ns)
        publish["pose"](PoseStamped(header=header("map", stamp_ns), pose=pose_to_message(link_from_camera(T))))
        publish["camera_info"](camera_to_message(CAMERA, head))
        publish["image"](image_to_message(view.image, head))
        client.wait_for(lambda status: status.stored_views == 1)
        seen = client.capture(T)
        probe.close()
        other = seen_from(pose_at(-0.8))
        assert client.add_view(other.image.numpy(), CAMERA, other.T_world_camera) == 2
    np.testing.assert_array_equal(seen.image, view.image)
    assert np.isfinite(seen.depth).all()
    assert (np.asarray(seen.depth) > 0).all()
