"""Pictures, clouds, recordings and reports, read back from the files."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from rosbags.highlevel import AnyReader

from rooms import box_view, orbit
from vmem_ros.geometry import Camera, look_at
from vmem_ros.reporting.colormaps import CONFIDENCE_RAMP, confidence_overlay, depth_colors
from vmem_ros.reporting.floor_map import FloorMap
from vmem_ros.reporting.mcap import Recording
from vmem_ros.reporting.ply import write_ply
from vmem_ros.reporting.report import Report, Table
from vmem_ros.reporting.sample import Sample, preview_of
from vmem_ros.reporting.stopwatch import Stopwatch
from vmem_ros.reporting.world_mcap import write_recording
from vmem_ros.scenes.headings import face_open_space
from vmem_ros.showcase.contact_sheet import write_animation
from vmem_ros.showcase.results_writer import Exploration, write_results
from vmem_ros.types import Target
from vmem_ros.world import default_world

CAMERA = Camera.from_fov(96, 64, 75)


@pytest.fixture(scope="module")
def exploration() -> Exploration:
    """Four views of a box room, a closed loop through other poses, with truth."""
    world = default_world(reuse_views=False)
    observed = [box_view(CAMERA, T) for T in orbit(4)]
    for view in observed:
        world.observe(view)
    path = orbit(4, radius=0.6, height=0.2)
    targets = [Target(CAMERA, path[i]) for i in (0, 1, 2, 3, 0)]
    previews = [preview_of(world.glimpse(t), t) for t in targets]
    frames = list(world.explore(targets, seed=0))
    shots = [
        Sample(f.view, f.confidence, p, box_view(CAMERA, t.T_world_camera))
        for f, p, t in zip(frames, previews, targets, strict=True)
    ]
    return Exploration(shots, [shots[0], shots[1], shots[0]], observed, world.memory.surfels, "reprojection")


def test_an_exhibit_holds_everything(exploration, tmp_path):
    write_results(tmp_path, exploration, title="A box", more=[Table("Time", [{"s": 1.5}])])
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        assert sheet.width > 1000
        assert len(sheet.getcolors(1 << 24)) > 1000
    with Image.open(tmp_path / "loop.gif") as animation:
        assert animation.n_frames == 5
    report = json.loads((tmp_path / "report.json").read_text())
    methods = {row["method"]: row for row in report["tables"]["Against the truth"]}
    assert methods["reprojection"]["PSNR dB"] > methods["copy the nearest view"]["PSNR dB"] + 3
    assert report["tables"]["Consistency with itself"][2]["loop PSNR dB"] == "identical"
    assert report["tables"]["Time"] == [{"s": 1.5}]
    text = (tmp_path / "report.md").read_text()
    assert "contact_sheet.png" in text
    assert "copy the nearest view" in text


def test_a_cloud_read_back_from_ply_is_the_cloud(exploration, tmp_path):
    surfels = exploration.surfels
    write_ply(tmp_path / "surfels.ply", surfels)
    header, _, body = (tmp_path / "surfels.ply").read_bytes().partition(b"end_header\n")
    names = [line.split()[-1] for line in header.decode().splitlines() if line.startswith("property")]
    assert names == ["x", "y", "z", "nx", "ny", "nz", "radius", "red", "green", "blue"]
    kinds = ["<f4"] * 7 + ["u1"] * 3
    vertices = np.frombuffer(body, list(zip(names, kinds, strict=True)))
    assert f"element vertex {len(surfels)}\n" in header.decode()
    assert np.array_equal(vertices["z"], surfels.position[:, 2].numpy())
    assert np.array_equal(vertices["ny"], surfels.normal[:, 1].numpy())
    assert np.array_equal(vertices["blue"], surfels.color[:, 2].numpy())


def test_a_recording_without_ros_holds_the_views(exploration, tmp_path):
    start = 1_700_000_000_000_000_000
    write_recording(tmp_path / "bag", exploration.loop, exploration.surfels, start_ns=start)
    with AnyReader([tmp_path / "bag"]) as reader:
        messages = [(c.topic, t, reader.deserialize(data, c.msgtype)) for c, t, data in reader.messages()]
    by_topic = {topic: [m for name, _, m in messages if name == topic] for topic, _, _ in messages}
    first = exploration.loop[0].view
    image = by_topic["/vmem/camera/image_raw"][0]
    assert np.array_equal(image.data.reshape(64, 96, 3), first.image.numpy())
    depth = by_topic["/vmem/camera/depth/image_rect"][0]
    assert np.array_equal(depth.data.view(np.float32).reshape(64, 96), first.depth.numpy(), equal_nan=True)
    info = by_topic["/vmem/camera/camera_info"][0]
    assert info.header == image.header
    assert info.k[2] == pytest.approx(CAMERA.cx - 0.5)
    assert info.p[0] == pytest.approx(CAMERA.fx)
    assert len(by_topic["/vmem/camera/confidence"]) == 5
    transform = by_topic["/tf"][0].transforms[0]
    assert transform.child_frame_id == image.header.frame_id
    assert transform.header.stamp == image.header.stamp
    # The link looks along its x axis, in the direction of the optical z axis.
    q = by_topic["/vmem/pose"][0].pose.orientation
    forward = [1 - 2 * (q.y**2 + q.z**2), 2 * (q.x * q.y + q.w * q.z), 2 * (q.x * q.z - q.w * q.y)]
    assert np.allclose(forward, first.T_world_camera[:3, 2], atol=1e-6)
    cloud = by_topic["/vmem/memory/surfels"][0]
    assert cloud.width == len(exploration.surfels)
    records = cloud.data.view(np.float32).reshape(-1, 8)
    assert np.array_equal(records[:, 7], exploration.surfels.radius.numpy())
    assert messages[0][1] == start


def test_a_recording_replaces_only_recordings(tmp_path):
    Recording(tmp_path / "bag").close()
    Recording(tmp_path / "bag").close()
    (tmp_path / "bag" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="more than a recording"):
        Recording(tmp_path / "bag")
    assert (tmp_path / "bag" / "notes.txt").exists()


def test_webp_animations_keep_true_colour(exploration, tmp_path):
    write_animation(tmp_path / "a.webp", exploration.loop, surfels=exploration.surfels, robot=orbit(4), frames_per_s=5)
    with Image.open(tmp_path / "a.webp") as animation:
        assert animation.n_frames == 5
        assert animation.convert("RGB").getpixel((2, 2)) != (0, 0, 0)


def test_near_is_red_far_is_blue_unknown_is_black():
    near, far, unknown, infinite = depth_colors(
        torch.tensor([[0.5, 10.0, math.nan, math.inf]]), near_m=0.5, far_m=10.0
    )[0].int()
    assert near[0] > near[2] + 50
    assert far[2] > far[0]
    assert unknown.tolist() == infinite.tolist() == [0, 0, 0]


def test_confidence_tints_a_white_picture_along_the_ramp():
    white = torch.full((1, 3, 3), 255, dtype=torch.uint8)
    overlay = confidence_overlay(white, torch.tensor([[0.0, 0.5, 1.0]]), opacity=1.0)
    assert overlay[0].tolist() == [list(colour) for colour in CONFIDENCE_RAMP]
    assert torch.equal(confidence_overlay(white, torch.zeros(1, 3), opacity=0.0), white)


@pytest.mark.parametrize(("x", "y", "right", "down"), [(1, 0, 1, 0), (-1, 0, -1, 0), (0, 1, 0, -1), (0, -1, 0, 1)])
def test_a_plan_points_out_the_asked_pose_where_it_is(exploration, x, y, right, down):
    """x is to the right and y up; the wedge lies ahead of a camera that looks outwards."""
    plan = FloorMap(exploration.surfels, orbit(4), size=(200, 160))
    here = look_at((x, y, 0), (2 * x, 2 * y, 0))
    changed = (plan.image(robot=orbit(4), here=here) != plan.image(robot=orbit(4))).any(dim=-1).nonzero().double()
    v, u = (changed.mean(dim=0) - torch.tensor([80, 100])).tolist()
    assert u * right + v * down > 20
    assert abs(u * down) + abs(v * right) < 8


def test_cameras_face_the_open_side_and_the_loop_closes():
    path = torch.eye(4, dtype=torch.float64).repeat(9, 1, 1)
    angle = torch.linspace(0, 2 * math.pi, 9, dtype=torch.float64)
    path[:, 0, 3], path[:, 1, 3], path[:, 2, 3] = angle.cos() * 0.3, angle.sin() * 0.3, 1.4
    path[-1] = path[0]
    # A corridor along +x: everything else is wall.
    out = face_open_space(path, lambda p: (np.abs(p[:, 1]) < 0.5) & (p[:, 0] > -0.5), pitch=-0.1)
    assert torch.equal(out[0], out[-1])
    assert float(out[:, 0, 2].min()) > 0.8
    places = {tuple(p) for p in out[:-1, :3, 3].tolist()}
    assert places == {tuple(p) for p in path[:-1, :3, 3].tolist()}


def test_reports_say_identical_and_unknown(tmp_path):
    table = Table("T", [{"a": math.inf, "b": math.nan, "c": 1234.5, "d": 4e-7, "e": "x"}])
    Report("Title", "Summary.", [table], settings={"seed": 3}).write(tmp_path)
    assert "| identical | - | 1234 | 4e-07 | x |" in (tmp_path / "report.md").read_text()
    record = json.loads((tmp_path / "report.json").read_text())
    assert record["tables"]["T"] == [{"a": "identical", "b": None, "c": 1234.5, "d": 4e-7, "e": "x"}]
    assert record["settings"] == {"seed": 3}
    assert "cores" in record["machine"]["processor"]


def test_a_stopwatch_shares_time_among_what_was_done():
    watch = Stopwatch()
    with watch.time("four at once", count=4):
        pass
    with pytest.raises(KeyError), watch.time("failed"):
        raise KeyError
    (row,) = watch.table("Latency").rows
    assert row["what"] == "four at once"
    assert row["times"] == 4
    assert row["median ms"] >= 0
