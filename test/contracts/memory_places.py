"""Any place, pose and size: a memory does not know where the origin is, which way is up, how large pictures are."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from memory_subject import CAMERA, TARGETS, VIEWS, MemorySubject, moved, write
from rooms import box_view, orbit, psnr
from vmem_ros.geometry import Camera, look_at, pose_from
from vmem_ros.types import Projection, Target


def turned(axis: str, degrees: float) -> torch.Tensor:
    """Return a rotation [4, 4] float64."""
    return pose_from((0, 0, 0), Rotation.from_euler(axis, degrees, degrees=True).as_quat())


def check_alike(a: Projection, b: Projection) -> None:
    """Two projections show the same up to rounding: at borders of elements a pixel may show the neighbour."""
    assert (a.seen == b.seen).float().mean() > 0.97
    both = a.seen & b.seen
    assert ((a.depth - b.depth)[both].abs() < 0.02 * a.depth[both]).float().mean() > 0.97
    assert psnr(a.image, b.image, both) > 30


class PlaceContract(MemorySubject):
    """The same views elsewhere, turned, of other sizes."""

    @pytest.mark.parametrize("by_m", [(1e4, -1e4, 3e2), (1e6, -1e6, 1e3)])
    def test_a_far_away_world_is_as_sharp(self, by_m: tuple[float, float, float]) -> None:
        away = pose_from(by_m, (0, 0, 0, 1))
        near, far = self.memory_of(VIEWS[:5]), self.memory_of([moved(v, away) for v in VIEWS[:5]])
        for target in TARGETS:
            there = Target(target.camera, away @ target.T_world_camera)
            check_alike(near.project(target), far.project(there))
            a, b = near.read([target], 3), far.read([there], 3)
            assert set(a.indices) == set(b.indices)
            assert torch.allclose(a.weights, b.weights, atol=0.05)
        # 32 bits resolve 6 cm there.
        place = far.elements().position.double() - torch.tensor(by_m, dtype=torch.float64)
        assert (place.abs().amax(dim=0) - near.elements().position.double().abs().amax(dim=0)).abs().max() < 0.2

    @pytest.mark.parametrize("axis", ["x", "y", "xyz"])
    def test_it_does_not_matter_which_way_is_up(self, axis: str) -> None:
        by = turned(axis[0], 90) if len(axis) == 1 else turned("x", 37) @ turned("y", -64) @ turned("z", 118)
        upright, other = self.memory_of(VIEWS[:5]), self.memory_of([moved(v, by) for v in VIEWS[:5]])
        for target in TARGETS:
            shown = other.project(Target(target.camera, by @ target.T_world_camera))
            truth = upright.project(target)
            assert (shown.seen == truth.seen).float().mean() > 0.93
            both = shown.seen & truth.seen
            assert ((shown.depth / truth.depth - 1)[both].abs() < 0.05).float().mean() > 0.9
            assert psnr(shown.image, truth.image, both) > 22

    @pytest.mark.parametrize(("roll", "pitch"), [(30, 0), (90, 0), (180, 0), (0, 60), (30, -60)])
    def test_a_tilted_camera(self, roll: float, pitch: float) -> None:
        """Rolled about its axis, looking up or down: its own view comes back, and it sees what others saw."""
        pose = look_at((0.2, -0.3, 0.1), (3, 0.4, 0.1)) @ turned("z", roll) @ turned("x", pitch)
        own = box_view(CAMERA, pose, panel=True)
        alone = self.memory_of([own]).project(own.target)
        assert alone.seen.float().mean() >= self.least_shown
        assert psnr(alone.image, own.image, alone.seen) >= self.least_psnr_db
        error = (alone.depth / own.depth - 1).abs()[alone.seen]
        assert (error < 0.05).float().mean() > 0.9
        others = self.memory_of(VIEWS).project(own.target)
        error = (others.depth / own.depth - 1).abs()[others.seen]
        assert (error < 0.1).float().mean() > 0.8

    @pytest.mark.parametrize("size", [(96, 54), (19, 31), (8, 8)])
    def test_any_size_and_lens(self, size: tuple[int, int]) -> None:
        camera = Camera.from_fov(*size, 60)
        memory = self.memory_of(VIEWS)
        truth = box_view(camera, TARGETS[0].T_world_camera, panel=True)
        shown = memory.project(truth.target)
        assert tuple(shown.image.shape) == (size[1], size[0], 3)
        assert shown.seen.float().mean() > 0.8
        error = (shown.depth / truth.depth - 1).abs()[shown.seen]
        assert (error < 0.1).float().mean() > 0.8
        write(memory, [truth])
        assert memory.find(truth.target) is memory.views[-1]

    def test_views_of_mixed_sizes(self) -> None:
        cameras = [CAMERA, Camera.from_fov(40, 52, 70), Camera.from_fov(70, 30, 90)]
        memory = self.make()
        write(memory, [box_view(cameras[i % 3], T) for i, T in enumerate(orbit(9))])
        truth = box_view(CAMERA, TARGETS[0].T_world_camera)
        shown = memory.project(truth.target)
        assert shown.seen.float().mean() > 0.85
        assert psnr(shown.image, truth.image, shown.seen) > 20
        recall = memory.read([truth.target], 4)
        assert all(v.image.shape[:2] == v.camera.size for v in recall.views)
        memory.undo(1)
        assert len(memory) == 0

    def test_an_off_centre_lens_with_oblong_pixels(self) -> None:
        K = torch.tensor([[40.0, 0, 17.5], [0, 31.0, 20.25], [0, 0, 1]])
        view = box_view(Camera(K, 48, 36), VIEWS[1].T_world_camera)
        shown = self.memory_of([view]).project(view.target)
        assert shown.seen.float().mean() >= self.least_shown
        assert psnr(shown.image, view.image, shown.seen) >= self.least_psnr_db

    def test_far_surfaces(self) -> None:
        """A plane a kilometre away is drawn where it is."""
        view = VIEWS[0]
        depth = torch.full(CAMERA.size, 1000.0)
        memory = self.memory_of([dataclasses.replace(view, depth=depth)])
        shown = memory.project(view.target)
        assert shown.seen.float().mean() >= self.least_shown
        assert math.isclose(float(shown.depth[shown.seen].median()), 1000, rel_tol=0.01)
