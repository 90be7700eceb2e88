"""What a camera has seen outranks what was only imagined, wherever that lies."""

import dataclasses

import torch

from rooms import box_view, orbit
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import zbuffer
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.types import PointMap, Target, View

CAMERA = Camera.from_fov(96, 64, 75)
HERE = look_at([0.0, 0.0, 0.0], [1.0, 0.0, 0.0])


def wall(depth_m: float, source: str, color: int) -> tuple[list[View], list[PointMap]]:
    """Return a view of a grey wall straight ahead, and its geometry."""
    depth = torch.full(CAMERA.size, depth_m)
    view = View(torch.full((*CAMERA.size, 3), color, dtype=torch.uint8), CAMERA, HERE, depth, source=source)
    return [view], [PointMap.from_depth(depth, torch.ones_like(depth), CAMERA, HERE)]


def middle(values: torch.Tensor) -> torch.Tensor:
    """Return the middle of an image, away from the borders that surfels do not reach."""
    return values[16:-16, 16:-16]


class TestZBuffer:
    def test_seen_before_imagined_before_depth_before_id(self):
        def shown(*fragments: tuple[float, int, bool]) -> int:
            depth, ids, seen = (torch.tensor(column) for column in zip(*fragments, strict=True))
            buffer = zbuffer.empty_buffer(1, torch.device("cpu"))
            zbuffer.draw(buffer, torch.zeros(len(ids), dtype=torch.int64), depth, zbuffer.tags(ids, seen))
            return int(zbuffer.ids_of(buffer))

        assert shown((5.0, 7, True), (1.0, 3, False)) == 7
        assert shown((5.0, 7, True), (4.0, 9, True)) == 9
        assert shown((5.0, 7, False), (4.0, 9, False)) == 9
        assert shown((4.0, 7, True), (4.0, 9, True)) == 7

    def test_round_trip_and_empty(self):
        buffer = zbuffer.empty_buffer(3, torch.device("cpu"))
        tag = zbuffer.tags(torch.tensor([2**32 - 2, 0]), torch.tensor([True, False]))
        zbuffer.draw(buffer, torch.tensor([0, 1]), torch.tensor([1.25, 1e-3]), tag)
        assert zbuffer.ids_of(buffer).tolist() == [2**32 - 2, 0, -1]
        assert zbuffer.depth_of(buffer, empty=-1.0).tolist() == [1.25, torch.tensor(1e-3).item(), -1.0]
        assert zbuffer.seen_depth_of(buffer).tolist() == [1.25, torch.inf, torch.inf]


class TestMemory:
    def test_a_camera_replaces_what_was_imagined_at_the_same_place(self):
        memory = SurfelMemory()
        memory.write(*wall(2.0, "generated", 50))
        imagined = memory.n_surfels
        memory.write(*wall(2.0, "observed", 200))
        assert memory.n_surfels == 2 * imagined
        shown = memory.project(Target(CAMERA, HERE))
        assert (middle(shown.image) == 200).all()
        assert (middle(shown.confidence) == 1).all()

    def test_pixels_come_from_real_views_although_a_generated_one_is_nearer(self):
        memory = SurfelMemory()
        near, far = orbit(32)[0], orbit(32)[1]
        real = box_view(CAMERA, far)
        copy = box_view(CAMERA, near)
        copy = dataclasses.replace(copy, image=torch.zeros_like(copy.image), source="generated")
        for view in (real, copy):
            depth = view.depth
            memory.write([view], [PointMap.from_depth(depth, torch.ones_like(depth), CAMERA, view.T_world_camera)])
        shown = memory.project(Target(CAMERA, near))
        from_real = shown.confidence == 1
        assert from_real.float().mean() > 0.5
        assert (shown.image[from_real].float().mean(dim=-1) > 0).all()
