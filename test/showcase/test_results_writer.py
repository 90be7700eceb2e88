"""What an exploration leaves behind, read back from the files."""

import json

import pytest
from PIL import Image

from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.reporting.sample import Sample, preview_of
from vmem_ros.reporting.tables import Table
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
    loop = [
        Sample(f.view, f.confidence, p, box_view(CAMERA, t.T_world_camera))
        for f, p, t in zip(frames, previews, targets, strict=True)
    ]
    return Exploration(loop, [loop[0], loop[1], loop[0]], observed, world.memory.elements(), "reprojection", exact=True)


def test_results_hold_everything(exploration, tmp_path):
    write_results(tmp_path, exploration, title="A box", more=[Table("Time", [{"s": 1.5}])])
    with Image.open(tmp_path / "contact_sheet.png") as sheet:
        assert sheet.width > 1000
        assert len(sheet.getcolors(1 << 24)) > 1000
    with Image.open(tmp_path / "loop.gif") as animation:
        assert animation.n_frames == 5
    assert f"element vertex {len(exploration.elements)}\n".encode() in (tmp_path / "cloud.ply").read_bytes()
    report = json.loads((tmp_path / "report.json").read_text())
    methods = {row["method"]: row for row in report["tables"]["Against the truth"]}
    assert methods["reprojection"]["PSNR dB"] > methods["copy the nearest view"]["PSNR dB"] + 3
    assert report["tables"]["Consistency with itself"][2]["loop PSNR dB"] == "identical"
    assert report["tables"]["Time"] == [{"s": 1.5}]
    text = (tmp_path / "report.md").read_text()
    assert "contact_sheet.png" in text
    assert "copy the nearest view" in text


def test_webp_animations_keep_true_colour(exploration, tmp_path):
    write_animation(
        tmp_path / "a.webp", exploration.path, elements=exploration.elements, robot=orbit(4), frames_per_s=5
    )
    with Image.open(tmp_path / "a.webp") as animation:
        assert animation.n_frames == 5
        assert animation.convert("RGB").getpixel((2, 2)) != (0, 0, 0)
