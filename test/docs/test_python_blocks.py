"""Python on the pages runs as it stands there, after what the text before it says is there."""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch

from clouds import random_elements
from markdown_pages import PAGES, Block, blocks
from repository import ROOT
from tiny_models import tiny_pipeline
from vmem_ros.geometry import Camera
from vmem_ros.recordings.posed_folder_writer import write_posed_folder
from vmem_ros.scenes import House
from vmem_ros.types import Target
from vmem_ros.world import default_world
from wan_pipelines import video_pipeline

# Pages whose Python a test of their own runs.
TESTS = {
    "README.md": "test/docs/test_planner.py",
    "docs/examples.md": "test/nodes/examples/test_examples.py",
    "docs/extending.md": "test/test_extending.py",
}
# What is asked of a graphics card, or takes long, in a size for any processor; and a place where there is something.
SMALLER = {
    "Sphere([2.0, 0.5, 0.4], 0.6)": "Sphere(there, 0.6)",
    'device="cuda"': 'device="cpu"',
    "pipeline.enable_model_cpu_offload()\n": "",
    "height=704, width=1248, num_frames=121": "height=64, width=96, num_frames=9",
    "house.loop(48)": "house.loop(4)",
}
ALL = [block for page in PAGES for block in blocks(page) if block.language == "python"]
HERE = [block for block in ALL if str(block.page.relative_to(ROOT)) not in TESTS]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of somebody's own, with models in it."""
    folder = tmp_path_factory.mktemp("home")
    tiny_pipeline().save_pretrained(folder / "models" / "vmem")
    video_pipeline().save_pretrained(folder / "models" / "spatia")
    return folder


@pytest.fixture
def names(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What pages speak of: a world that has a view, another view and masks of it, a recording, what memory shows."""
    house, camera = House(1000001), Camera.from_fov(96, 64, 70)
    views = [house.view(Target(camera, pose)) for pose in house.loop(40)[:3]]
    world = default_world()
    world.seed(views[0])
    mask = torch.zeros(64, 96, dtype=torch.bool)
    mask[20:30, 40:60] = True
    depth = views[0].depth
    assert depth is not None
    ahead = views[0].T_world_camera[:3, 3] + views[0].T_world_camera[:3, 2] * depth[32, 48]
    (tmp_path / "models").symlink_to(home / "models")
    write_posed_folder(tmp_path / "walk", views)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(home))
    return {
        "world": world,
        "view": views[1],
        "people": mask,
        "chair": mask,
        "there": ahead.tolist(),
        "cloud": random_elements(20),
        "picture": views[0].image,
        "shown": [views[0].image] * 9,
        "seen": [torch.ones(64, 96)] * 9,
    }


def test_there_are_blocks() -> None:
    assert len(HERE) >= 7
    assert {block.page.name for block in HERE} >= {"geometry.md", "houses.md", "memory.md", "recordings.md"}


@pytest.mark.parametrize("block", ALL, ids=str)
def test_a_block_is_python(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("block", HERE, ids=str)
def test_a_block_runs(block: Block, names: dict[str, Any]) -> None:
    text = block.text
    for large, small in SMALLER.items():
        text = text.replace(large, small)
    exec(compile(text, str(block), "exec"), names)


@pytest.mark.parametrize(("page", "test"), TESTS.items())
def test_the_others_have_tests(page: str, test: str) -> None:
    assert any(str(block.page.relative_to(ROOT)) == page for block in ALL)
    assert Path(page).name in (ROOT / test).read_text(encoding="utf-8")
