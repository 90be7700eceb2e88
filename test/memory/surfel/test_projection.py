"""What memory shows: against the analytic room it was shown."""

import dataclasses

import pytest
import torch

from memories import CAMERA, differences, memory_of, same_projection, snapshot, views_at, write
from rooms import PANEL_X, box_view, orbit, psnr
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryOptions
from vmem_ros.pointmaps import SensorDepth
from vmem_ros.types import PointMap, Target
from vmem_ros.world import default_world

BETWEEN = orbit(16, radius=0.8)[3]
BESIDE = look_at((-1.5, 1.0, 0.2), (2, -0.3, 0))


@pytest.fixture(scope="module")
def memory() -> SurfelMemory:
    return memory_of(views_at(orbit(8), panel=True))


def depth_error(projection, truth) -> torch.Tensor:
    """Return |depth / truth - 1| over the pixels that are seen."""
    return (projection.depth / truth.depth - 1).abs()[projection.seen]


class TestSmoke:
    @pytest.mark.parametrize("detail", ["pixels", "surfels"])
    def test_types_and_shapes(self, detail):
        found = memory_of(views_at(orbit(2)), detail=detail).project(Target(CAMERA, BETWEEN))
        for name, dtype, row in (
            ("image", torch.uint8, (3,)), ("depth", torch.float32, ()), ("seen", torch.bool, ()),
            ("ids", torch.int64, ()), ("confidence", torch.float32, ()),
        ):  # fmt: skip
            value = getattr(found, name)
            assert value.dtype == dtype
            assert value.shape == (*CAMERA.size, *row)

    @pytest.mark.parametrize("detail", ["pixels", "surfels"])
    def test_what_is_not_seen_is_empty(self, detail):
        found = memory_of(views_at(orbit(8)[:1]), detail=detail).project(Target(CAMERA, orbit(8)[1]))
        unseen = ~found.seen
        assert 0.05 < unseen.float().mean() < 0.95
        assert found.image[unseen].max() == 0
        assert found.depth[unseen].isnan().all()
        assert (found.ids[unseen] == -1).all()
        assert (found.confidence[unseen] == 0).all()
        assert torch.isfinite(found.depth[found.seen]).all()
        assert (found.ids[found.seen] >= 0).all()

    def test_empty_memory_shows_nothing(self):
        found = SurfelMemory().project(Target(CAMERA, BETWEEN))
        assert not found.seen.any()
        assert found.image.max() == 0
        assert found.depth.isnan().all()

    def test_changes_nothing(self, memory):
        before = snapshot(memory)
        first, second = (memory.project(Target(CAMERA, BETWEEN)) for _ in range(2))
        assert differences(snapshot(memory), before) == []
        assert same_projection(first, second)


class TestValues:
    def test_at_a_stored_pose(self, memory):
        truth = memory.views[0]
        found = memory.project(truth.target)
        assert found.seen.float().mean() > 0.999
        assert psnr(found.image, truth.image) > 45
        assert (depth_error(found, truth) > 0.02).sum() <= 5

    def test_a_view_shows_itself_whole_where_it_has_no_depth(self):
        truth = box_view(CAMERA, BETWEEN)
        blind = truth.depth.clone()
        blind[:, : CAMERA.width // 2] = torch.nan
        memory = memory_of([dataclasses.replace(truth, depth=blind)])
        found = memory.project(truth.target)
        assert bool(found.seen.all())
        assert torch.equal(found.image, truth.image)
        assert bool(found.depth[:, : CAMERA.width // 2 - 2].isnan().all())
        assert bool((found.confidence == 1).all())

    @pytest.mark.parametrize("moved_m", [0.0, 0.02])
    def test_what_was_masked_is_not_shown(self, moved_m):
        """Not even at the pose of the view, whose stored image still has it."""
        truth = box_view(CAMERA, BETWEEN)
        mask = torch.zeros(CAMERA.size, dtype=torch.bool)
        mask[10:30, 20:40] = True
        world = default_world()
        world.observe(truth, mask=mask)
        T = BETWEEN.clone()
        T[2, 3] += moved_m
        inner = mask.clone()
        inner[10:13, :] = inner[27:, :] = inner[:, 20:23] = inner[:, 37:] = False
        assert not bool(world.glimpse(Target(CAMERA, T)).seen[inner].any())

    @pytest.mark.parametrize("T", [BETWEEN, BESIDE], ids=["between", "beside"])
    def test_at_a_new_pose(self, memory, T):
        truth = box_view(CAMERA, T, panel=True)
        found = memory.project(Target(CAMERA, T))
        assert found.seen.float().mean() > 0.8
        assert psnr(found.image, truth.image, found.seen) > 30
        assert (depth_error(found, truth) > 0.02).float().mean() < 0.02

    def test_pixels_are_sharper_than_surfels(self, memory):
        truth = box_view(CAMERA, BETWEEN, panel=True)
        coarse = memory_of(memory.views, detail="surfels").project(truth.target)
        fine = memory.project(truth.target)
        assert psnr(fine.image, truth.image, fine.seen) > psnr(coarse.image, truth.image, coarse.seen) + 6

    def test_the_panel_hides_the_wall_behind_it(self, memory):
        truth = box_view(CAMERA, BESIDE, panel=True)
        without = box_view(CAMERA, BESIDE)
        on_panel = truth.depth < 0.95 * without.depth
        assert on_panel.sum() > 50
        shown = memory.project(truth.target)
        inside = on_panel & shown.seen
        assert inside.sum() > 0.8 * on_panel.sum()
        assert ((shown.depth / truth.depth)[inside] < 1.02).all()

    def test_back_of_a_panel_nobody_saw_is_not_shown(self):
        """From behind, surfels of the front face away: nothing is shown there, rather than the front mirrored."""
        front = look_at((-1, 0, 0), (2, 0, 0))
        behind = look_at((2.6, 0, 0), (0, 0, 0))
        memory = memory_of(views_at(front[None], panel=True))
        truth = box_view(CAMERA, behind, panel=True)
        on_panel = truth.depth < (2.6 - PANEL_X) * 1.01
        assert on_panel.any()
        assert not memory.project(truth.target).seen[on_panel].any()

    @pytest.mark.parametrize("size", [(512, 288), (33, 57), (8, 8)])
    def test_any_size_and_lens(self, memory, size):
        camera = Camera.from_fov(*size, 60)
        truth = box_view(camera, BETWEEN, panel=True)
        found = memory.project(truth.target)
        assert psnr(found.image, truth.image, found.seen) > 28
        assert (depth_error(found, truth) > 0.02).float().mean() < 0.05

    def test_views_of_mixed_sizes(self):
        cameras = [Camera.from_fov(64, 48, 80), Camera.from_fov(48, 64, 70), Camera.from_fov(96, 40, 90)]
        memory = SurfelMemory()
        for i, T in enumerate(orbit(9)):
            write(memory, [box_view(cameras[i % 3], T)])
        truth = box_view(CAMERA, BETWEEN)
        found = memory.project(truth.target)
        assert found.seen.float().mean() > 0.95
        assert psnr(found.image, truth.image, found.seen) > 30

    def test_far_from_the_origin(self, memory):
        """100 km away float32 resolves 8 mm. Surfels are stored near the first view, so nothing is lost."""
        away = torch.eye(4, dtype=torch.float64)
        away[:3, 3] = torch.tensor([1e5, -1e5, 300.0])
        far = memory_of([dataclasses.replace(v, T_world_camera=away @ v.T_world_camera) for v in memory.views])
        near, moved = memory.project(Target(CAMERA, BETWEEN)), far.project(Target(CAMERA, away @ BETWEEN))
        assert (near.seen == moved.seen).float().mean() > 0.999
        both = near.seen & moved.seen
        assert (near.depth - moved.depth)[both].abs().max() < 1e-3
        assert psnr(near.image, moved.image, both) > 55
        assert torch.allclose(far.surfels.position, memory.surfels.position + away[:3, 3].float(), atol=0.02)


class TestConfidence:
    @pytest.mark.parametrize("detail", ["pixels", "surfels"])
    @pytest.mark.parametrize(("source", "expected"), [("observed", 1.0), ("generated", 0.5)])
    def test_source(self, detail, source, expected):
        views = [dataclasses.replace(v, source=source) for v in views_at(orbit(8))]
        found = memory_of(views, detail=detail).project(Target(CAMERA, BETWEEN))
        assert found.confidence.unique().tolist() == pytest.approx(
            sorted({0.0, expected} if (~found.seen).any() else {expected})
        )

    def test_of_each_pixel(self):
        """A generated view whose left half repeats what a camera saw."""
        (view,) = views_at(orbit(8)[:1])
        share = torch.zeros(CAMERA.size)
        share[:, :32] = 1
        memory = memory_of([dataclasses.replace(view, source="generated", confidence=share)])
        found = memory.project(view.target)
        assert torch.equal(found.confidence[found.seen], (0.5 + 0.5 * share)[found.seen])


class TestContradictions:
    def test_disks_that_overhang_an_edge_are_cut_back(self):
        """Surfels at the rim of the panel reach beyond it; the views that saw the wall there refute them."""
        front = look_at((-1, 0, 0), (2, 0, 0))
        sides = [look_at((-1, y, z), (2, y / 2, z / 2)) for y in (-0.6, 0.6) for z in (-0.4, 0.4)]
        views = views_at(torch.stack([front, *sides]), panel=True)
        truth = box_view(CAMERA, look_at((-1.0, 0.1, 0.05), (2, 0, 0)), panel=True)
        on_panel = truth.depth < 0.7 * box_view(CAMERA, truth.T_world_camera).depth
        # A source pixel is as wide as a target pixel here, so the rim may be off by one.
        rim = torch.nn.functional.max_pool2d(on_panel[None].float(), 3, stride=1, padding=1)[0] > 0
        beyond = {}
        for detail in ("surfels", "pixels"):
            shown = memory_of(views, detail=detail).project(truth.target)
            beyond[detail] = int(((shown.depth < 0.9 * truth.depth) & ~rim).sum())
        assert beyond["surfels"] > 5
        assert beyond["pixels"] == 0

    def test_imagined_depth_refutes_nothing(self):
        """A wider generated view claims a surface behind the seen wall, at the rim that no camera pixel confirms."""
        ahead = look_at((0, 0, 0), (2, 0, 0))
        seen, wide = box_view(Camera.from_fov(64, 48, 60), ahead), box_view(Camera.from_fov(64, 48, 90), ahead)
        dream = dataclasses.replace(wide, depth=2 * wide.depth, source="generated")
        before = memory_of([seen]).project(wide.target)
        after = memory_of([seen, dream]).project(wide.target)
        real = before.confidence == 1
        assert (before.seen & ~real).sum() == 0
        assert torch.equal(after.confidence == 1, real)
        assert torch.equal(after.depth[real], before.depth[real])

    def test_views_without_a_depth_map_take_that_of_the_point_map(self):
        (view,) = views_at(orbit(8)[:1])
        bare = dataclasses.replace(view, depth=None)
        memory = SurfelMemory()
        memory.write([bare], SensorDepth().estimate([view]))
        assert torch.equal(memory.views[0].depth, view.depth)
        assert same_projection(memory.project(view.target), memory_of([view]).project(view.target))

    def test_views_without_any_geometry(self):
        """They are kept and can be recalled, and show themselves, but nothing from anywhere else."""
        (view,) = views_at(orbit(8)[:1])
        nowhere = PointMap.from_depth(
            torch.full(CAMERA.size, torch.nan), torch.ones(CAMERA.size), CAMERA, view.T_world_camera
        )
        memory = SurfelMemory()
        memory.write([dataclasses.replace(view, depth=None)], [nowhere])
        assert (len(memory), memory.n_surfels) == (1, 0)
        assert torch.equal(memory.project(view.target).image, view.image)
        assert not memory.project(Target(CAMERA, orbit(8)[1])).seen.any()
        recall = memory.read([view.target], 4)
        assert recall.fallback
        assert recall.indices == (0,)
        write(memory, views_at(orbit(8)[1:2]))
        assert memory.n_surfels > 0


class TestOptions:
    @pytest.mark.parametrize(
        ("option", "value"), [("selection", "best"), ("detail", "fine"), ("max_views", 0), ("splat_scale", -1.0)]
    )
    def test_refused(self, option, value):
        with pytest.raises(ValueError, match=f"{option} must be"):
            SurfelMemoryOptions(**{option: value})

    def test_stride(self):
        few, many = (memory_of(views_at(orbit(8)[:1]), surfel_stride=s).n_surfels for s in (4, 2))
        assert few == 16 * 16 * 48 // 48
        assert many == 24 * 32
