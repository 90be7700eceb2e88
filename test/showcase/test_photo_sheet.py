"""Photographs after small movements: what could be shown, and the sheet with its table."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from rooms import box_view
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.pointmaps.depth_network import DepthNetwork
from vmem_ros.showcase.photo_moves import MOVES, moves
from vmem_ros.showcase.photo_sheet import main
from vmem_ros.showcase.scenario import typical_depth
from vmem_ros.world import World

CAMERA = Camera.from_fov(96, 64, 60)


def moved_around(view):
    """Return what the moves show of a view with depth."""
    return dict(moves(World(load_memory(), ReprojectionGenerator(), MemoryDepth()), view))


class TestMoves:
    ahead = box_view(CAMERA, look_at((-2.0, 0, 0), (2, 0, 0)))

    def test_of_a_room_with_exact_depth(self):
        found = moved_around(self.ahead)
        assert list(found) == list(MOVES)
        own, turned, sideways, forward = found.values()
        assert own.within.all()
        assert torch.equal(own.shown.image, self.ahead.image)
        assert forward.within.all()
        assert min(each.share_within for each in (turned, sideways, forward)) > 0.99
        # A picture of 60 degrees, turned by ten, keeps what lies less than 20 degrees to the right of its middle.
        kept = (1 - np.tan(np.radians(10 - 30)) / np.tan(np.radians(30))) / 2
        assert float(turned.within.float().mean()) == pytest.approx(kept, abs=0.02)
        assert turned.within[:, 0].all()
        assert not turned.within[:, -1].any()

    def test_holes_count_within_the_picture_alone(self):
        depth = self.ahead.depth.clone()
        depth[20:40, 30:60] = torch.nan
        whole, torn = (moved_around(dataclasses.replace(self.ahead, depth=d)) for d in (self.ahead.depth, depth))
        name = list(MOVES)[1]
        lost = whole[name].share_within - torn[name].share_within
        assert lost == pytest.approx(600 / float(whole[name].within.sum()), rel=0.25)

    def test_what_is_drawn_is_not_remembered(self):
        world = World(load_memory(), ReprojectionGenerator(), MemoryDepth())
        assert len(list(moves(world, self.ahead))) == len(MOVES)
        assert len(world) == 1


def test_paths_follow_what_is_near_and_not_the_sky():
    depth = torch.full((60, 80), torch.inf)
    depth[40:] = torch.linspace(2, 6, 20)[:, None]
    assert typical_depth(depth) == pytest.approx(3, abs=0.1)
    depth[:30] = 400.0
    assert typical_depth(depth) < 6


def test_a_sheet_of_two_photographs(tmp_path, capsys):
    torch.manual_seed(0)
    network = DepthNetwork(widths=(8, 16), blocks=(1, 1), attention_blocks=1, head_width=8, typical_depth_m=3.0)
    network.save_pretrained(tmp_path / "network")
    for name, size in {"wide": (90, 60), "tall": (50, 70)}.items():
        y, x = np.mgrid[0 : size[1], 0 : size[0]]
        picture = np.stack([x * 2, y * 3, 255 * (x // 8 % 2)], axis=-1).clip(0, 255).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    photos = [str(tmp_path / "wide.png"), str(tmp_path / "tall.png")]
    options = ["--engine", "reprojection", "--depth-model", str(tmp_path / "network")]
    main([*photos, *options, "--output", str(tmp_path / "sheet.jpg")])
    printed = capsys.readouterr().out
    assert "| wide | 100.0 | identical | identical |" in printed
    assert "| tall | 100.0 | identical | identical |" in printed
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert sheet.width > 1400
        assert sheet.height > 350
        assert len(sheet.getcolors(1 << 24)) > 1000
