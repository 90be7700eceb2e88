"""The TSDF peer, where Open3D is installed; without it, what it says."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

from peers import needs_open3d
from recorded import walk
from vmem_ros.errors import InvalidImageError, MissingPackageError
from vmem_ros.evaluation.tsdf import TsdfVolume, usual_far_m, usual_voxel_m
from vmem_ros.geometry import Camera, look_at
from vmem_ros.types import Target


@pytest.fixture
def volume() -> TsdfVolume:
    volume = TsdfVolume(0.02)
    for view in walk(5):
        volume.integrate(view)
    return volume


@needs_open3d
def test_it_shows_what_was_integrated_where_it_was(volume: TsdfVolume) -> None:
    view = walk(5)[2]
    volume.make_room(view.target)
    shown = volume.ray_cast(view.target)
    assert float(shown.seen.float().mean()) > 0.9
    both = shown.seen & torch.isfinite(view.depth)
    error = ((shown.depth - view.depth).abs() / view.depth)[both]
    assert float(error.median()) < 0.005
    # Intrinsics that are half a pixel off make it 25.
    difference = (shown.image.float() - view.image.float()).abs().mean(dim=-1)[both]
    assert float(difference.median()) < 12


@needs_open3d
def test_where_nothing_was_seen_it_shows_nothing(volume: TsdfVolume) -> None:
    away = Target(Camera.from_fov(48, 32, 70), look_at((0, 0, 1), (-3, 0, 1)))
    shown = volume.ray_cast(away)
    assert not bool(shown.seen.any())
    assert bool(shown.depth.isnan().all())
    assert not bool(shown.image.any())


@needs_open3d
def test_a_frame_without_depth_is_refused(volume: TsdfVolume) -> None:
    blocks = volume.blocks
    with pytest.raises(InvalidImageError, match="has no depth"):
        volume.integrate(replace(walk(5)[0], depth=None))
    assert volume.blocks == blocks > 0


@needs_open3d
def test_sizes_must_be_positive() -> None:
    with pytest.raises(ValueError, match="must be positive, got 0 and 8"):
        TsdfVolume(0.0)


def test_voxels_grow_with_the_scene_within_bounds() -> None:
    def at(depth_m: float) -> torch.Tensor:
        return torch.full((4, 6), depth_m)

    assert [usual_voxel_m([at(z)]) for z in (0.5, 2.56, 3.84, 40.0)] == [0.004, 0.01, 0.015, 0.05]
    assert usual_far_m([at(3.0)]) == 8.0
    assert usual_far_m([at(30.0)]) == pytest.approx(60.0)
    unknown = at(torch.nan)
    assert usual_voxel_m([unknown, at(2.56)]) == 0.01
    with pytest.raises(InvalidImageError, match="no frame has any depth"):
        usual_voxel_m([unknown])
    with pytest.raises(InvalidImageError, match="no frame has any depth"):
        usual_voxel_m([])


def test_without_open3d_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(MissingPackageError, match=r"the TSDF peer needs open3d.*pip install 'vmem_ros\[peers\]'"):
        TsdfVolume(0.01)
