"""Each example as it is installed, in a process of its own, with a real camera node."""

from __future__ import annotations

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from ament_index_python import get_package_prefix
from geometry_msgs.msg import PoseStamped
from PIL import Image
from rclpy.executors import SingleThreadedExecutor
from rosbags.highlevel import AnyReader

from harness import CameraProcess, add_truth, pose_at, stamped
from markdown_pages import blocks
from repository import ROOT
from vmem_ros.nodes.client import CameraClient
from waiting import WAIT_S, wait_until

PROGRAMS = Path(get_package_prefix("vmem_ros")) / "lib" / "vmem_ros"
EXAMPLES = ("take_picture", "follow_plan", "next_best_view", "seed_from_realsense", "branch_world", "record_mcap")
WIDTH = 96
# Two processes begin, and a house is drawn.
LIMIT_S = 9 * WAIT_S
pytestmark = pytest.mark.timeout(LIMIT_S + WAIT_S)


def run(name: str, *options: str) -> str:
    """Run an example and return what it prints."""
    done = subprocess.run(
        [PROGRAMS / name, "--width", str(WIDTH), *options],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def remaps(launch_file: Path) -> list[str]:
    """Return the remappings of a launch file as arguments of a node."""
    root = ElementTree.parse(launch_file).getroot()
    values = {arg.attrib["name"]: arg.get("default", "") for arg in root.findall("arg")}

    def filled(text: str) -> str:
        return re.sub(r"\$\(var (\w+)\)", lambda found: values[found[1]], text)

    pairs = [(remap.attrib["from"], filled(remap.attrib["to"])) for remap in root.iter("set_remap")]
    return [word for source, to in pairs for word in ("-r", f"{source}:={to}")]


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture(scope="module")
def running(worlds: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraClient]:
    """A camera with the remappings for a RealSense, and a client of it."""
    parameters = {"world.root": str(worlds), "path.sample_distance_m": 10.0}
    realsense = remaps(ROOT / "launch" / "seed_from_realsense.launch.xml")
    log = tmp_path_factory.mktemp("examples") / "log"
    with CameraProcess(log, parameters, ros_args=realsense), CameraClient() as client:
        client.wait_until_ready()
        yield client


@pytest.fixture
def camera(running: CameraClient) -> CameraClient:
    """One that has seen nothing."""
    running.reset()
    return running


def test_take_picture(camera: CameraClient, tmp_path: Path) -> None:
    said = run("take_picture", "--out", str(tmp_path / "picture.png"))
    assert re.search(r"picture.png: 96 x 64 pixels, \d\.\d\d to \d+\.\d\d m away, \d+% of it remembered", said)
    pixels = np.asarray(Image.open(tmp_path / "picture.png"))
    assert pixels.shape == (64, 3 * WIDTH, 3)
    wait_until(
        lambda: (view := camera.latest()) and np.array_equal(pixels[:, :WIDTH], view.image), "the view in the picture"
    )


def test_follow_plan(camera: CameraClient) -> None:
    lines = run("follow_plan").splitlines()
    views = [line for line in lines if re.match(r"view \d+ at \(.+\): \d+% remembered, drawn from \d views$", line)]
    assert lines[-1] == f"arrived: {len(views)} views along the plan"
    assert len(views) >= 2, "where it begins and the goal, however coarsely the path is sampled"


def test_next_best_view(camera: CameraClient) -> None:
    line = r"look (\d): (\d+)% is unknown around; at \d+ degrees (\d+)%, and the nearest thing .* (?:[\d.]+|nan) m away"
    looks = re.findall(line, run("next_best_view"))
    assert [number for number, *_ in looks] == ["1", "2", "3"]
    around = [int(share) for _, share, _ in looks]
    assert around[0] >= around[1] >= around[2], "what was looked at is known afterwards"
    assert int(looks[0][2]) >= around[0], "it looks where more is unknown than elsewhere"


def test_seed_from_realsense(camera: CameraClient) -> None:
    lines = run("seed_from_realsense").splitlines()
    status = camera.wait_for(lambda s: lines[-2] == f"view {s.stored_views} of {s.stored_views} is in the memory")
    assert int(re.findall(r"(\d+)% of the picture is remembered", lines[-1])[0]) > 10
    assert {"/camera/camera/color/image_raw", "/camera/camera/aligned_depth_to_color/image_raw"} <= {
        *status.input_names
    }


def test_branch_world(camera: CameraClient, worlds: Path) -> None:
    lines = run("branch_world").splitlines()
    stored = [int(line.split()[-2]) for line in lines[:3]]
    assert stored == [stored[0], stored[0] + 3, stored[0] + 3]
    assert {file.name for file in (worlds / "branch_world").iterdir()} == {"start", "left", "right"}
    assert lines[3:] == [
        "in 'left', the way left is remembered, the way right is drawn anew",
        "in 'right', the way left is drawn anew, the way right is remembered",
    ]


def test_record_mcap(camera: CameraClient, tmp_path: Path) -> None:
    said = run("record_mcap", "--out", str(tmp_path / "recording"))
    written = int(re.findall(r"recording: (\d+) messages about 4 views", said)[0])
    with AnyReader([tmp_path / "recording"]) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
    assert sum(counts.values()) == written
    assert counts["/vmem/memory/retrieval"] == 4
    assert counts["/vmem/camera/image_raw"] >= 4, "and the one before, which the camera keeps for late subscribers"
    assert (tmp_path / "recording" / "recording.mcap").is_file()


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_has_a_launch_file_that_starts_it_beside_the_camera(name: str) -> None:
    root = ElementTree.parse(ROOT / "launch" / f"{name}.launch.xml").getroot()
    (node,) = root.iter("node")
    assert (node.attrib["exec"], node.attrib["on_exit"]) == (name, "shutdown")
    (include,) = root.iter("include")
    assert include.attrib["file"].endswith("/launch/camera.launch.xml")


def test_the_node_on_the_page(camera: CameraClient) -> None:
    """It looks where a goal is published, and says how much of that is remembered."""
    (block,) = (block for block in blocks(ROOT / "docs" / "examples.md") if block.language == "python")
    names: dict[str, Any] = {}
    exec(compile(block.text, str(block), "exec"), names)
    add_truth(camera, pose_at(-1.0))
    rclpy.init()
    scout = names["Scout"]()
    executor = SingleThreadedExecutor()
    executor.add_node(scout)
    goal, place = scout.create_publisher(PoseStamped, "goal_pose", 1), pose_at(-0.8, 0.2)
    try:
        executor.spin_until_future_complete(scout.camera.wait_until_ready_async(), timeout_sec=WAIT_S)
        goal.publish(stamped(place))
        wait_until(lambda: executor.spin_once(timeout_sec=0.01) or scout.camera.latest(), "the view at the goal")
        assert np.allclose(scout.camera.latest().T_world_camera, place, atol=1e-6)
        scout.camera.close()
    finally:
        executor.shutdown()
        scout.destroy_node()
        rclpy.shutdown()


def test_what_goes_wrong_is_one_line() -> None:
    done = subprocess.run(
        [PROGRAMS / "take_picture", "--width", "-1"], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "InvalidCameraError" in done.stderr
