"""Geometry of new views from predicted depth: what becomes of memory, seams, gaps, sky and moving things."""

import dataclasses
import math

import pytest
import torch

from rooms import box_view, orbit
from vmem_ros.errors import InvalidImageError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import Camera, look_at, pixel_rays
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import (
    FILLED_CONFIDENCE,
    AlignedDepth,
    DepthPrediction,
    MemoryDepth,
    ScalePrior,
    SensorDepth,
)
from vmem_ros.pointmaps.correction import correction_field
from vmem_ros.pointmaps.edges import is_gap, viewing_cosine
from vmem_ros.types import Recall, Target
from vmem_ros.world import World

CAMERA = Camera.from_fov(96, 72, 75)
POSES = orbit(16)


class Predictor:
    """Knows the true depth, wrong by a factor for each view and a field for all."""

    name = "told"
    metric = True

    def __init__(self, *factors: float, field: torch.Tensor | float = 1.0, prior: ScalePrior | None = None) -> None:
        self.factors, self.field = factors, field
        self.scale_prior = ScalePrior() if prior is None else prior
        self.asked: list[Recall] = []

    def predict(self, views, recall):
        self.asked.append(recall)
        truth = [box_view(v.camera, v.T_world_camera, panel=True).depth for v in views]
        return [
            DepthPrediction(d * f * self.field, torch.full_like(d, 0.03))
            for d, f in zip(truth, self.factors * len(views), strict=False)
        ]


class RelativePredictor(Predictor):
    metric = False

    def __init__(self, *factors: float) -> None:
        super().__init__(*factors)
        self.scale_prior = None


def seen_before(*poses: torch.Tensor) -> SurfelMemory:
    """Return a memory of views at these poses."""
    memory = SurfelMemory()
    views = [box_view(CAMERA, T, panel=True) for T in poses]
    maps = World(memory, ReprojectionGenerator(), MemoryDepth())
    for view in views:
        maps.observe(view)
    return memory


def estimated(predictor: Predictor, memory: SurfelMemory, *poses: torch.Tensor, **options):
    """Return views at poses, what memory shows there, and their estimated geometry."""
    views = [dataclasses.replace(box_view(CAMERA, T, panel=True), depth=None, source="generated") for T in poses]
    recall = memory.read([view.target for view in views], 4)
    return views, recall, AlignedDepth(predictor, **options).estimate(views, recall)


def truth_at(T: torch.Tensor) -> torch.Tensor:
    return box_view(CAMERA, T, panel=True).depth


class TestAlignedDepth:
    def test_new_depth_has_the_scale_of_memory(self):
        memory = seen_before(POSES[0])
        _, recall, maps = estimated(Predictor(1.5, 0.7), memory, POSES[1], POSES[2])
        for found, projection, T in zip(maps, recall.projections, POSES[1:3], strict=True):
            new = ~projection.seen
            assert 0.05 < new.float().mean() < 0.95
            assert (found.depth[new] / truth_at(T)[new] - 1).abs().median() < 0.03

    def test_it_is_as_metric_as_its_predictor(self):
        assert AlignedDepth(Predictor(1.0)).metric
        assert not AlignedDepth(RelativePredictor(1.0)).metric

    def test_what_is_remembered_is_not_moved(self):
        """Where prediction and memory mean the same surface, it is memory's."""
        memory = seen_before(POSES[0])
        _, recall, (found,) = estimated(Predictor(1.4), memory, POSES[1])
        (projection,) = recall.projections
        same = projection.seen & (found.confidence == 1)
        assert same.float().mean() > 0.3
        assert torch.equal(found.depth[same], projection.depth[same])
        assert (found.confidence[projection.seen & ~same] == 0).all()

    @pytest.mark.parametrize("factor", [0.6, 0.75, 0.85])
    def test_memory_that_is_wrong_everywhere_does_not_bend_it(self, factor):
        """As when a surface was imagined from afar and the camera now stands before it."""
        memory = SurfelMemory()
        wrong = dataclasses.replace(box_view(CAMERA, POSES[0], panel=True), source="generated")
        wrong = dataclasses.replace(wrong, depth=wrong.depth * factor)
        memory.write([wrong], SensorDepth().estimate([wrong]))
        predictor = Predictor(1.0, prior=ScalePrior(common=0.02, own=0.02))
        (view,), _, (found,) = estimated(predictor, memory, POSES[1])
        assert float((found.depth / truth_at(view.T_world_camera) - 1).abs().nanmedian()) < 0.02

    def test_a_smooth_error_of_the_predictor_does_not_tear_the_seam(self):
        """Its field of errors goes from -15 % to 15 % across the picture: the new part begins where memory ends."""
        field = torch.linspace(0.85, 1.15, CAMERA.width).expand(CAMERA.size)
        memory = seen_before(POSES[0])
        _, recall, (found,) = estimated(Predictor(1.0, field=field), memory, POSES[1])
        seen = recall.projections[0].seen
        beside = ~seen & (torch.nn.functional.max_pool2d(seen[None].float(), 9, 1, 4)[0] > 0)
        error = (found.depth / truth_at(POSES[1])).log().abs()
        assert beside.any()
        assert error[beside].median() < 0.04

    def test_confidence_tells_how_well_the_scale_is_known(self):
        memory = seen_before(POSES[0])
        opposite = look_at((0, 0, 0), (2, 0.1, 0))
        prior = ScalePrior(common=0.1, own=0.3)
        _, recall, (near, far) = estimated(Predictor(1.2, 1.2, prior=prior), memory, POSES[1], opposite)
        assert not recall.projections[1].seen.any()
        new = ~recall.projections[0].seen & (near.confidence > 0)
        assert near.confidence[new].mean() > 0.6
        assert FILLED_CONFIDENCE <= far.confidence[far.confidence > 0].mean() < 0.3
        assert torch.isfinite(far.depth).all()

    def test_a_relative_predictor_continues_a_world_but_cannot_begin_one(self):
        memory = seen_before(POSES[0])
        _, _, (found,) = estimated(RelativePredictor(7.0), memory, POSES[1])
        assert (found.depth / truth_at(POSES[1]) - 1).abs().median() < 0.03
        world = World(SurfelMemory(), ReprojectionGenerator(), AlignedDepth(RelativePredictor(7.0)))
        with pytest.raises(InvalidImageError, match="finds none where nothing is remembered"):
            world.seed(dataclasses.replace(box_view(CAMERA, POSES[0]), depth=None))
        assert len(world) == 0

    def test_what_is_too_far_is_sky_and_makes_no_surfels(self):
        view = dataclasses.replace(box_view(CAMERA, look_at((-2.5, 0, 0), (2, 0, 0))), depth=None)
        world = World(SurfelMemory(), ReprojectionGenerator(), AlignedDepth(Predictor(1.0), max_depth_m=4.0))
        world.seed(view)
        stored = world.memory.views[0].depth
        far = box_view(CAMERA, view.T_world_camera, panel=True).depth > 4.0
        assert far.any()
        assert torch.equal(torch.isposinf(stored), far)
        distance = (world.memory.surfels.position - view.T_world_camera[:3, 3]) @ view.T_world_camera[:3, 2]
        assert distance.max() <= 4.0

    @pytest.mark.parametrize("limit", [0.0, -1.0, math.nan])
    def test_limits_that_make_no_sense(self, limit):
        with pytest.raises(ValueError, match="max_depth_m must be positive or None"):
            AlignedDepth(Predictor(1.0), max_depth_m=limit)

    def test_no_views(self):
        assert AlignedDepth(Predictor(1.0)).estimate([], Recall((), torch.empty(0), ())) == []


class TestWorldFromAPicture:
    """A world that begins with a picture whose depth nobody measured."""

    def test_it_is_seeded_and_goes_on(self):
        world = World(SurfelMemory(), ReprojectionGenerator(), AlignedDepth(Predictor(1.1)), composite="none")
        world.seed(dataclasses.replace(box_view(CAMERA, POSES[0], panel=True), depth=None))
        frames = list(world.explore([Target(CAMERA, T) for T in POSES[1:4]], seed=0))
        errors = [(f.view.depth / truth_at(f.view.T_world_camera) / 1.1 - 1).abs().nanmedian() for f in frames]
        assert max(errors) < 0.05

    def test_a_second_picture_takes_the_scale_of_the_world(self):
        predictor = Predictor(1.0)
        world = World(SurfelMemory(), ReprojectionGenerator(), AlignedDepth(predictor))
        world.seed(dataclasses.replace(box_view(CAMERA, POSES[0], panel=True), depth=None))
        predictor.factors = (1.6,)
        world.observe(dataclasses.replace(box_view(CAMERA, POSES[1], panel=True), depth=None))
        assert predictor.asked[1].projections[0].seen.any()
        assert (world.memory.views[1].depth / truth_at(POSES[1]) - 1).abs().nanmedian() < 0.03

    def test_measured_depth_is_kept(self):
        predictor = Predictor(2.0)
        world = World(SurfelMemory(), ReprojectionGenerator(), AlignedDepth(predictor))
        view = box_view(CAMERA, POSES[0])
        world.seed(view)
        assert not predictor.asked
        assert torch.equal(world.memory.views[0].depth, view.depth)

    def test_memory_has_no_depth_for_a_picture(self):
        world = World(SurfelMemory(), ReprojectionGenerator(), MemoryDepth())
        with pytest.raises(InvalidImageError, match="no usable depth"):
            world.seed(dataclasses.replace(box_view(CAMERA, POSES[0]), depth=None))


class TestMask:
    """Moving things: pixels that a camera saw and memory must not keep."""

    moving = torch.zeros(CAMERA.size, dtype=torch.bool)
    moving[20:50, 30:60] = True

    def test_masked_pixels_are_not_remembered(self):
        world = World(SurfelMemory(), ReprojectionGenerator(), MemoryDepth())
        view = box_view(CAMERA, POSES[0])
        world.observe(view, mask=self.moving)
        shown = world.glimpse(view.target).seen
        assert shown[~self.moving].float().mean() > 0.9
        assert not shown[24:46, 34:56].any()
        assert world.memory.views[0].depth[self.moving].isnan().all()

    def test_what_was_remembered_there_before_is_shown_instead(self):
        world = World(SurfelMemory(), ReprojectionGenerator(), MemoryDepth())
        before = box_view(CAMERA, POSES[0])
        image = before.image.clone()
        image[self.moving] = torch.tensor([255, 0, 255], dtype=torch.uint8)
        world.observe(before)
        world.observe(dataclasses.replace(before, image=image), mask=self.moving)
        assert torch.equal(world.glimpse(before.target).image[24:46, 34:56], before.image[24:46, 34:56])

    def test_what_memory_shows_besides_is_not_remembered_twice(self):
        def surfels_of_two_pictures(mask):
            world = World(SurfelMemory(), ReprojectionGenerator(), AlignedDepth(Predictor(1.0)))
            world.observe(box_view(CAMERA, POSES[0], panel=True))
            world.observe(dataclasses.replace(box_view(CAMERA, POSES[1], panel=True), depth=None), mask=mask)
            return len(world.memory.surfels)

        assert surfels_of_two_pictures(self.moving) <= surfels_of_two_pictures(None)

    @pytest.mark.parametrize("mask", [torch.zeros(3, 4, dtype=torch.bool), torch.zeros(CAMERA.size)])
    def test_masks_that_do_not_fit(self, mask):
        world = World(SurfelMemory(), ReprojectionGenerator(), MemoryDepth())
        with pytest.raises(InvalidImageError, match="mask must be bool"):
            world.observe(box_view(CAMERA, POSES[0]), mask=mask)
        assert len(world) == 0


class TestGaps:
    def test_the_cosine_is_that_of_the_plane(self):
        normal = torch.tensor([0.4, -0.3, 0.8])
        normal = normal / normal.norm()
        rays = pixel_rays(CAMERA)
        depth = 2.0 / (rays @ normal)
        expected = (rays @ normal) / rays.norm(dim=-1)
        assert torch.allclose(viewing_cosine(depth, CAMERA), expected, atol=1e-3)

    @pytest.mark.parametrize("pixels", [1, 3, 4])
    def test_a_ramp_between_two_surfaces_is_a_gap_however_smeared(self, pixels):
        ramp = torch.linspace(0, 1, pixels + 2)[1:-1]
        row = torch.cat([torch.full((40,), 1.5), 1.5 + 2.5 * ramp, torch.full((CAMERA.width - 40 - pixels,), 4.0)])
        gap = is_gap(row.expand(CAMERA.size), CAMERA)
        between = (row > 1.6) & (row < 3.9)
        assert gap[:, between].all()
        assert not gap[:, :38].any()
        assert not gap[:, 42 + pixels :].any()

    def test_walls_floor_and_corners_of_a_room_are_none(self):
        gap = is_gap(box_view(CAMERA, look_at((-2.5, 0.3, 0.2), (3, 0, -0.5))).depth, CAMERA)
        assert gap.float().mean() < 0.01

    def test_beside_sky_is_a_gap_and_the_unknown_is_not(self):
        depth = torch.full(CAMERA.size, 3.0)
        depth[:, :20], depth[:, 70:] = torch.inf, torch.nan
        gap = is_gap(depth, CAMERA)
        assert gap[:, 20].all()
        assert not gap[:, 22:70].any()

    def test_no_surfels_hang_between_a_panel_and_the_wall_behind(self):
        """The predictor smears the edge of the panel; only surfels on one of the two may come of it."""

        class Smeared(Predictor):
            def predict(self, views, recall):
                (exact,) = super().predict(views, recall)
                depth = torch.nn.functional.avg_pool2d(
                    torch.nn.functional.pad(exact.depth[None, None], (2, 2, 2, 2), mode="replicate"), 5, 1
                )[0, 0]
                return [DepthPrediction(depth, exact.deviation)]

        T = look_at((0, 0, 0), (2, 0, 0))
        world = World(SurfelMemory(), ReprojectionGenerator(), AlignedDepth(Smeared(1.0)))
        world.seed(dataclasses.replace(box_view(CAMERA, T, panel=True), depth=None))
        p = world.memory.surfels.position
        ahead = (p[:, 1].abs() < 1.2) & (p[:, 2].abs() < 1.1)
        assert (p[ahead, 0] < 1.75).any()
        assert (p[ahead, 0] > 2.85).any()
        between = (p[ahead, 0] > 1.75) & (p[ahead, 0] < 2.6)
        assert between.float().mean() < 0.02


class TestCorrection:
    def test_it_meets_what_is_known_and_fades_away_from_it(self):
        weight = torch.zeros(96, 96)
        weight[:, :40] = 1
        field = correction_field(torch.full((96, 96), 0.2), weight)
        assert torch.allclose(field[:, :32], torch.tensor(0.2), atol=0.02)
        assert (field[:, 80:].abs() < 1e-3).all()
        assert (field.diff(dim=1).abs() < 0.02).all()

    def test_nothing_known_corrects_nothing(self):
        assert (correction_field(torch.full((20, 30), torch.nan), torch.zeros(20, 30)) == 0).all()
