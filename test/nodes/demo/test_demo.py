"""The demo and its recorder as processes, as a user starts them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rclpy
import torch
from geometry_msgs.msg import PoseStamped
from PIL import Image as Picture
from rosbags.highlevel import AnyReader
from rosbags.typesys import Stores, get_typestore
from sensor_msgs.msg import Image
from vmem_ros.msg import Status

from recorded import walk
from repository import ROOT
from vmem_ros.nodes.demo.robot import DEMO_HOUSE
from vmem_ros.nodes.demo.run import environment, main
from vmem_ros.nodes.interface.delivery import wait_until_received
from vmem_ros.nodes.interface.names import qos_profile
from vmem_ros.nodes.interface.rclpy_messages import header, image_to_message
from vmem_ros.nodes.tools.processes import Processes, ProcessFailedError
from vmem_ros.recordings import open_recording
from vmem_ros.recordings.rgbd_bag import write_bag
from vmem_ros.showcase.scenario import house_scenario
from vmem_ros.world_file import read_metadata
from waiting import WAIT_S, wait_until

# Several processes begin, and a house is drawn.
LIMIT_S = 9 * WAIT_S
pytestmark = [pytest.mark.ros, pytest.mark.timeout(LIMIT_S + WAIT_S)]
DEMO = [sys.executable, "-m", "vmem_ros.nodes.demo"]
LATCHED, COMMAND, SENSOR = (qos_profile(name) for name in ("latched", "command", "sensor"))


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(environment(), log_folder=tmp_path / "logs") as running:
        yield running


def processes_with(word: str) -> list[str]:
    """Return the command lines of all processes that name a folder of this test."""
    lines = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if word in command:
            lines.append(command)
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_recording_holds_what_was_sent(processes: Processes, tmp_path: Path, number: signal.Signals) -> None:
    recorder = processes.start("tools.recorder", ["--out", str(tmp_path / "bag"), "--ros-args", "-r", "__ns:=/vmem"])
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("sender", namespace="vmem", context=context)
    status = node.create_publisher(Status, "vmem_camera/status", LATCHED)
    pose = node.create_publisher(PoseStamped, "pose", COMMAND)
    image = node.create_publisher(Image, "seed/image", SENSOR)
    try:
        status.publish(Status(engine="before the recorder came", stored_views=3))
        wait_until(lambda: all(p.get_subscription_count() > 0 for p in (status, pose, image)), "the recorder")
        sent = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
        image.publish(image_to_message(sent, header("camera", 5)))
        pose.publish(PoseStamped(header=header("map", 7)))
        wait_until_received({"pose": pose, "image": image}, timeout_s=WAIT_S)
    finally:
        node.destroy_node()
        context.try_shutdown()
    recorder.popen.send_signal(number)
    assert recorder.popen.wait(WAIT_S) == 0
    # No definitions are given: the file must bring them along.
    with AnyReader([tmp_path / "bag"], default_typestore=get_typestore(Stores.EMPTY)) as reader:
        received = {c.topic: reader.deserialize(data, c.msgtype) for c, _, data in reader.messages()}
        qos = {c.topic: c.ext.offered_qos_profiles[0].durability.name for c in reader.connections}
    assert received["/vmem/vmem_camera/status"].engine == "before the recorder came"
    assert received["/vmem/seed/image"].data.tolist() == list(range(12))
    assert received["/vmem/pose"].header.stamp.nanosec == 7
    assert qos["/vmem/memory/surfels"] == "TRANSIENT_LOCAL"
    assert qos["/vmem/pose"] == "VOLATILE"
    assert (tmp_path / "bag" / "bag.mcap").exists()


def test_a_folder_of_other_things_is_not_recorded_into(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    recorder = processes.start("tools.recorder", ["--out", str(tmp_path)], log=True)
    with pytest.raises(ProcessFailedError, match="recorder failed with exit code 1"):
        processes.wait_for(recorder, beside=[], limit_s=2 * WAIT_S)
    said = (tmp_path / "logs" / "recorder.log").read_text()
    assert "recorder: FileExistsError" in said
    assert "choose another folder" in said
    assert (tmp_path / "thesis.txt").exists()


def test_a_recording_is_played_as_the_robot(tmp_path: Path) -> None:
    """Every other frame goes over the wire into the memory, the others are asked for."""
    write_bag(tmp_path / "bag", walk(9))
    out = tmp_path / "demo_out"
    command = [*DEMO, "--out", str(out), "--recording", str(tmp_path / "bag"), "--engine", "reprojection"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((out / "report.json").read_text())
    methods = {row["method"]: row for row in report["tables"]["Against the truth"]}
    assert methods["reprojection"]["PSNR dB"] > methods["copy the nearest view"]["PSNR dB"] + 2
    assert "Consistency with itself" not in report["tables"]
    robot = open_recording(out / "recording", image_topic="/vmem/seed/image")
    for frame, view in zip(robot.frames(), walk(9)[::2], strict=True):
        assert torch.equal(frame.view.image, view.image)
        torch.testing.assert_close(frame.view.depth, view.depth)
        torch.testing.assert_close(frame.view.T_world_camera, view.T_world_camera, rtol=0, atol=1e-6)


def test_the_demo_leaves_everything(tmp_path: Path) -> None:
    out = tmp_path / "demo_out"
    command = [*DEMO, "--out", str(out), "--views", "7", "--width", "96"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert str(out / "contact_sheet.png") in result.stdout
    *_, last = result.stdout.splitlines()
    assert last.strip() == f"source tools/env.sh && vmem view {out}/worlds/demo_world --prior room"
    assert read_metadata(out / "worlds" / "demo_world")["kind"] == "surfel"
    with Picture.open(out / "loop.gif") as animation:
        assert animation.n_frames == 7
    assert (out / "cloud.ply").stat().st_size > 10_000
    report = json.loads((out / "report.json").read_text())
    methods = {row["method"]: row for row in report["tables"]["Against the truth"]}
    # The default engine, with the model that comes with the package.
    assert methods["vmem"]["PSNR dB"] > methods["copy the nearest view"]["PSNR dB"] + 3
    measured = {row["what"] for row in report["tables"]["Latency"]}
    assert {"pose to preview, over topics", "~/generate, a view", "~/render, figures only"} <= measured
    with AnyReader([out / "recording"]) as reader:
        counts = {topic: info.msgcount for topic, info in reader.topics.items()}
    # 7 views of the loop, 17 there and back, one at the best candidate.
    assert counts["/vmem/camera/image_raw"] == counts["/vmem/memory/retrieval"] == 25
    assert counts["/vmem/pose"] == 3  # away, and the two views that are asked for one by one
    for topic, frames in (("/vmem/seed/image", 12), ("/vmem/camera/image_raw", 25)):
        recording = open_recording(out / "recording", image_topic=topic)
        assert len(recording) == frames
        assert recording[-1].view.depth.isfinite().float().mean() > 0.9
    robot = open_recording(out / "recording", image_topic="/vmem/seed/image")
    scenario = house_scenario(DEMO_HOUSE, views=7, width=96, stops=4)
    expected = torch.stack([target.T_world_camera for target in scenario.robot])
    found = torch.stack([target.T_world_camera for target in robot.targets])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert not processes_with(str(out))


def test_the_demo_shows_a_photo(tmp_path: Path) -> None:
    depth = np.full((40, 60), 2.0, np.float32)
    depth[:, 30:] = 3.0
    np.save(tmp_path / "depth.npy", depth)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Picture.fromarray(pixels).save(tmp_path / "photo.png")
    command = [*DEMO, "--engine", "reprojection", "--out", str(tmp_path / "out"), "--views", "6"]
    command += ["--image", str(tmp_path / "photo.png"), "--depth", str(tmp_path / "depth.npy")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert "Against the truth" not in report["tables"]
    # The loop starts and ends where the photo was taken, and there the world looks like the photo.
    assert report["tables"]["Consistency with itself"][0]["loop PSNR dB"] == "identical"
    with Picture.open(tmp_path / "out" / "loop.gif") as animation:
        assert animation.n_frames == 6


def test_the_demo_shows_a_photo_without_depth(tmp_path: Path) -> None:
    scenario = house_scenario(1_000_003, views=4, width=128, stops=2)
    Picture.fromarray(scenario.look(scenario.robot[0]).image.numpy()).save(tmp_path / "photo.png")
    command = [*DEMO, "--engine", "reprojection", "--out", str(tmp_path / "out"), "--views", "6", "--fov", "75"]
    command += ["--image", str(tmp_path / "photo.png")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["depth of what the camera took"] == "estimated"
    with (tmp_path / "out" / "cloud.ply").open("rb") as file:
        count = int(next(line.split()[-1] for line in file if line.startswith(b"element vertex")))
    assert count > 1000


def test_ctrl_c_ends_every_process(tmp_path: Path) -> None:
    out = tmp_path / "demo_out"
    command = [*DEMO, "--engine", "reprojection", "--out", str(out), "--views", "7", "--width", "96"]
    demo = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        log = out / "logs" / "recorder.log"
        wait_until(lambda: log.exists() and "recording" in log.read_text(), "the recorder")
        assert len(processes_with(str(out))) >= 3
        demo.send_signal(signal.SIGINT)
        _, errors = demo.communicate(timeout=WAIT_S)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 130
    assert "interrupted, all processes are stopped" in errors
    assert not processes_with(str(out))


def test_a_bad_photo_is_refused_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = ["--image", str(tmp_path / "no.png"), "--depth", str(tmp_path / "no.npy")]
    assert main(["--out", str(tmp_path / "out"), *missing]) == 1
    assert "InvalidImageError: cannot read the image" in capsys.readouterr().err
    assert not (tmp_path / "out" / "logs").exists()


def test_a_process_that_fails_is_named_with_its_log(processes: Processes, tmp_path: Path) -> None:
    broken = processes.start("tools.recorder", [], log=True)  # without the required --out
    with pytest.raises(ProcessFailedError, match=r"recorder failed with exit code 2: see .*recorder\.log"):
        processes.wait_for(broken, beside=(), limit_s=2 * WAIT_S)
    assert "--out" in (tmp_path / "logs" / "recorder.log").read_text()


@pytest.mark.parametrize("module", ["demo.robot", "demo.planner", "tools.recorder"])
def test_ctrl_c_while_a_process_is_imported_is_quiet(processes: Processes, tmp_path: Path, module: str) -> None:
    process = processes.start(module, ["--out", str(tmp_path / "out")], log=True)
    loaded = Path(f"/proc/{process.popen.pid}/maps")
    wait_until(lambda: "torch" in loaded.read_text(), "imports")
    process.popen.send_signal(signal.SIGINT)
    assert process.popen.wait(WAIT_S) == 0
    assert process.log is not None
    assert "Traceback" not in process.log.read_text()


def test_a_companion_that_ends_is_noticed(processes: Processes, tmp_path: Path) -> None:
    waiting = processes.start("tools.recorder", ["--out", str(tmp_path / "bag")], log=True)
    broken = processes.start("camera", ["--ros-args", "-p", "camera.width:=-1"], log=True)
    with pytest.raises(ProcessFailedError, match=r"camera ended with exit code 2: see .*camera\.log"):
        processes.wait_for(waiting, beside=(broken,), limit_s=2 * WAIT_S)
    with pytest.raises(ProcessFailedError, match=r"recorder took longer than 0\.2 s"):
        processes.wait_for(waiting, beside=(), limit_s=0.2)
    processes.stop()
    assert waiting.popen.returncode == 0


def test_the_demo_stays_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "SUBNET")
    monkeypatch.delenv("ROS_DOMAIN_ID", raising=False)
    found = environment()
    assert found["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert 1 <= int(found["ROS_DOMAIN_ID"]) <= 100
    assert Path(found["FASTRTPS_DEFAULT_PROFILES_FILE"]).is_file()
    assert os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "SUBNET"
