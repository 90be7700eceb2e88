"""What is particular to a memory of points; all else is in the contract."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from comparisons import differences, snapshot
from faults import operations_of
from memory_subject import CAMERA, TARGETS, VIEWS, maps_of, middle, wall, write
from rooms import HALF, PANEL_X, box_view, orbit, psnr
from vmem_ros.errors import InvalidCameraError, ModelError, WorldFileError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.memory.points import PointMemory, PointMemoryOptions
from vmem_ros.memory.points.voxels import MOST
from vmem_ros.types import PointMap, Target, View


def memory_of(views: list[View], **options: float) -> PointMemory:
    memory = PointMemory(PointMemoryOptions(**options))
    for view in views:
        write(memory, [view])
    return memory


def beside(view: View) -> Target:
    """A millimetre from the pose of a view, where it does not show itself."""
    T = view.T_world_camera.clone()
    T[0, 3] += 1e-3
    return Target(view.camera, T)


class TestFusion:
    def test_points_lie_on_the_walls(self) -> None:
        position = memory_of(VIEWS).elements().position
        on_wall = ((position.abs() - HALF).abs() < 0.02).any(dim=-1)
        on_panel = (position[:, 0] - PANEL_X).abs() < 0.02
        assert (on_wall | on_panel).all()

    def test_noise_is_averaged(self) -> None:
        """A wall measured twenty times, each time off by another centimetre."""
        memory, g = PointMemory(PointMemoryOptions(voxel=0.2)), torch.Generator().manual_seed(0)
        for _ in range(20):
            (view,), _ = wall(2.1, "observed", 100)
            depth = view.depth + 0.02 * torch.randn(CAMERA.size, generator=g)
            image = (view.image.int() + torch.randint(-30, 31, view.image.shape, generator=g)).to(torch.uint8)
            noisy = dataclasses.replace(view, depth=depth, image=image)
            memory.write([noisy], maps_of([noisy]))
        shown = memory.project(beside(memory.views[0]))
        assert (middle(shown.depth) - 2.1).abs().max() < 0.015
        assert (middle(shown.image).int() - 100).abs().max() <= 6

    def test_one_outlier_moves_nothing_else(self) -> None:
        depth = VIEWS[0].depth.clone()
        depth[3, 4] = 60.0
        outlier = dataclasses.replace(VIEWS[0], depth=depth)
        with_it, without = (memory_of([v, VIEWS[1]]).elements().position for v in (outlier, VIEWS[0]))
        same = (with_it[:, None] == without[None]).all(dim=-1).any(dim=1)
        assert (~same).sum() <= 2

    def test_far_and_near_looks_at_one_surface(self) -> None:
        """Seen from afar a voxel is drawn as large as a pixel was; a nearer look makes it small again, undo large."""
        far, near = (look_at((x, 0.0, 0.0), (3.0, 0.0, 0.0)) for x in (-2.9, 2.5))
        memory = memory_of([box_view(CAMERA, far)], voxel=0.1)
        sizes = memory.state()[0]["points/size"].clone()
        write(memory, [box_view(CAMERA, near)])
        after = memory.state()[0]["points/size"][: len(sizes)]
        assert (after <= sizes).all()
        assert (after < sizes).any()
        memory.undo()
        assert torch.equal(memory.state()[0]["points/size"], sizes)

    def test_a_voxel_that_has_counted_enough_stays_as_it_is(self) -> None:
        memory = memory_of(VIEWS[:1])
        tensors, metadata = snapshot(memory)
        full = tensors["points/sums"].clone()
        full[:, :] = torch.tensor([128 * MOST] * 3 + [100 * MOST] * 3 + [MOST])
        memory.restore(tensors | {"points/sums": full}, metadata)
        write(memory, VIEWS[:1])
        assert torch.equal(memory.state()[0]["points/sums"][: len(full)], full)


class TestPictures:
    @pytest.mark.parametrize("voxel", [0.02, 0.1])
    @pytest.mark.parametrize("size", [(96, 64), (384, 256)])
    def test_walls_are_closed(self, voxel: float, size: tuple[int, int]) -> None:
        """At a new pose between stored ones, whatever the size of voxels and pictures."""
        memory = memory_of(VIEWS, voxel=voxel)
        camera = Camera.from_fov(*size, 80)
        shown = memory.project(Target(camera, TARGETS[0].T_world_camera))
        assert shown.seen.float().mean() > 0.995

    def test_finer_voxels_show_more(self) -> None:
        camera = Camera.from_fov(192, 128, 80)
        views = [box_view(camera, T) for T in orbit(8)]
        truth = box_view(camera, TARGETS[0].T_world_camera)
        found = [memory_of(views, voxel=voxel).project(truth.target) for voxel in (0.2, 0.05, 0.02)]
        quality = [psnr(p.image, truth.image, p.seen) for p in found]
        assert quality == sorted(quality)
        assert quality[-1] > quality[0] + 6

    def test_the_nearest_surface_is_seen(self) -> None:
        truth = box_view(CAMERA, TARGETS[1].T_world_camera, panel=True)
        shown = memory_of(VIEWS).project(truth.target)
        on_panel = truth.depth < 0.95 * box_view(CAMERA, TARGETS[1].T_world_camera).depth
        assert on_panel.sum() > 20
        assert ((shown.depth / truth.depth)[on_panel & shown.seen] < 1.05).all()

    def test_skew_is_refused(self) -> None:
        K = CAMERA.K.clone()
        K[0, 1] = 2
        with pytest.raises(InvalidCameraError, match="skew"):
            memory_of(VIEWS[:1]).project(Target(Camera(K, *CAMERA.size[::-1]), VIEWS[0].T_world_camera))

    def test_a_point_in_the_lens_is_not_drawn(self) -> None:
        (view,), _ = wall(0.5, "observed", 90)
        memory = PointMemory()
        depth = torch.full(CAMERA.size, 0.005)
        memory.write([view], [PointMap.from_depth(depth, torch.ones_like(depth), CAMERA, view.T_world_camera)])
        assert not memory.project(beside(view)).seen.any()


class TestReferences:
    def test_a_view_that_shares_nothing_is_only_a_stopgap(self) -> None:
        memory = memory_of([VIEWS[0], VIEWS[4]])
        recall = memory.read([VIEWS[0].target], 2)
        assert recall.indices == (0, 1)
        assert recall.weights.tolist() == [1, 0]
        assert not recall.fallback

    def test_each_of_several_targets_gets_a_view(self) -> None:
        """Both see what view 1 saw, and one of them a little of view 0: matched, not the best one for both."""
        memory = memory_of(VIEWS[:2])
        targets = [Target(CAMERA, T) for T in orbit(64)[6:9:2]]
        assert sorted(memory.read(targets, 2).indices) == [0, 1]

    def test_the_next_reference_shows_what_the_first_does_not(self) -> None:
        """Three views from one place and one from beside: two references are not two of the three."""
        three = [dataclasses.replace(VIEWS[0], stamp_ns=n) for n in range(3)]
        memory = memory_of([*three, VIEWS[1]])
        between = Target(CAMERA, orbit(32)[1])
        recall = memory.read([between], 2)
        assert 3 in recall.indices
        assert memory.read([between], 4).weights.min() > 0, "the others share points, too"

    def test_more_targets_than_references(self) -> None:
        targets = [Target(CAMERA, T) for T in orbit(33)]
        recall = memory_of(VIEWS).read(targets, 4)
        assert len(recall.projections) == 33
        assert len(set(recall.indices)) == 4
        assert recall.weights.min() > 0

    def test_the_least_share(self) -> None:
        recall = memory_of(VIEWS[:3], least_shared=0.9).read([VIEWS[0].target], 3)
        assert recall.indices[0] == 0
        assert recall.weights.tolist() == [1, 0, 0]


class TestBounds:
    def test_points(self) -> None:
        most = len(memory_of(VIEWS).elements()) // 2
        memory = memory_of(VIEWS, max_points=most)
        assert 0 < len(memory.elements()) <= most
        assert 1 < len(memory) < len(VIEWS)
        assert torch.equal(memory.views[-1].image, VIEWS[-1].image)

    def test_points_that_others_saw_too_stay_with_their_means(self) -> None:
        memory = memory_of([VIEWS[0], VIEWS[0]], max_views=1)
        twice = memory_of([VIEWS[0], VIEWS[0]])
        assert len(memory) == 1
        assert torch.equal(memory.elements().position, twice.elements().position)
        assert torch.equal(memory.state()[0]["points/sums"], twice.state()[0]["points/sums"])
        memory.undo()
        assert differences(snapshot(memory), snapshot(PointMemory())) == []


class TestFiles:
    def test_voxels_of_another_size_are_refused_by_name(self) -> None:
        saved = snapshot(memory_of(VIEWS[:1], voxel=0.05))
        memory = memory_of(VIEWS[:1])
        before = snapshot(memory)
        with pytest.raises(WorldFileError, match=r"0\.05 m wide.*0\.02 m.*voxel = 0\.05"):
            memory.restore(*saved)
        assert differences(snapshot(memory), before) == []

    @pytest.mark.parametrize(
        ("name", "row", "value"),
        [
            ("points/sums", (0, 6), 0),  # no mean without points
            ("points/sums", (0, 0), -1),
            ("points/sums", (0, 3), 10**6),  # brighter than white
            ("points/key", (0,), -1),
            ("points/size", (0,), 0.001),
            ("observations/point", (0,), -1),
            ("observations/offset", (1,), 10**6),
            ("changes/rows", (0, 0), -1),
            ("changes/rows", (0, 7), 0),
            ("changes/rows", (0, 8), 0),  # size 0
            ("changes/offset", (1,), 1),  # a change of a point that was not there
            ("views/born", (1,), 0),
        ],
    )
    def test_numbers_that_do_not_fit(self, name: str, row: tuple[int, ...], value: float) -> None:
        tensors, metadata = snapshot(memory_of([VIEWS[0], VIEWS[0]]))
        damaged = tensors[name].clone()
        damaged[row] = value
        with pytest.raises(WorldFileError, match="inconsistent"):
            PointMemory().restore(tensors | {name: damaged}, metadata)

    def test_two_points_in_one_voxel(self) -> None:
        tensors, metadata = snapshot(memory_of(VIEWS[:1]))
        key = tensors["points/key"].clone()
        key[0] = key[1]
        with pytest.raises(WorldFileError, match="two points"):
            PointMemory().restore(tensors | {"points/key": key}, metadata)


class TestGrowth:
    def test_a_call_touches_what_is_in_view(self) -> None:
        """Two hundred rooms or one: as many operations on as many points are drawn."""
        one, many = memory_of(VIEWS, voxel=0.05), PointMemory(PointMemoryOptions(voxel=0.05))
        for number in range(20):
            away = torch.eye(4, dtype=torch.float64)
            away[0, 3] = 8.0 * ((number + 1) % 20)
            for view in VIEWS:
                write(many, [dataclasses.replace(view, T_world_camera=away @ view.T_world_camera)])
        assert len(many.elements()) > 15 * len(one.elements())
        calls = [
            lambda memory: memory.project(TARGETS[0]),
            lambda memory: memory.read(TARGETS, 4, record=False),
            lambda memory: write(memory, VIEWS[:1]),
        ]
        for call in calls:
            few, lots = (operations_of(lambda: call(memory)) for memory in (one, many))  # noqa: B023
            assert lots < 1.3 * few


@pytest.mark.parametrize(
    ("name", "value"),
    [("voxel", 0.0), ("voxel", -1), ("splat_scale", 0), ("max_views", -1), ("max_points", -2), ("least_shared", 2)],
)
def test_options_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        PointMemoryOptions(**{name: value})
    with pytest.raises(ModelError, match=name):
        load_memory("points", **{name: value})
