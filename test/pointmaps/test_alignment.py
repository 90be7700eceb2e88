"""Scale of predicted depth from memory and from the other new views, in an analytic room with exact depth."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import properties  # noqa: F401  (takes hypothesis' time limit away)
from rooms import box_view, orbit
from vmem_ros.geometry import Camera, look_at, pose_from
from vmem_ros.pointmaps.alignment import Alignment, align
from vmem_ros.pointmaps.prediction import DepthPrediction, ScalePrior
from vmem_ros.types import IMAGINED_CONFIDENCE, Projection

CAMERA = Camera.from_fov(64, 56, 75)
POSES = orbit(24)[:4]
TRUTH = [box_view(CAMERA, T, panel=True).depth for T in POSES]
PRIOR = ScalePrior(common=0.5, own=0.3)
SEEN = {
    "all": torch.ones(CAMERA.size, dtype=torch.bool),
    "none": torch.zeros(CAMERA.size, dtype=torch.bool),
    "strip": torch.zeros(CAMERA.size, dtype=torch.bool).index_fill(1, torch.arange(12), True),
}

scale_errors = st.lists(st.floats(-0.5, 0.5), min_size=4, max_size=4)


def shown(depth: torch.Tensor, seen: str | torch.Tensor) -> Projection:
    """Return a projection that shows a part of the true depth."""
    mask = SEEN[seen] if isinstance(seen, str) else seen
    image = torch.zeros(*depth.shape, 3, dtype=torch.uint8)
    return Projection(image, torch.where(mask, depth, torch.nan), mask, torch.where(mask, 0, -1), mask.float())


def predicted(depth: torch.Tensor, *, noise=0.0, outliers=0.0, seed=0) -> DepthPrediction:
    """Return depth with relative errors of every pixel, and a share of them quite wrong, mostly too far."""
    g = torch.Generator().manual_seed(seed)
    wrong = depth * torch.exp(noise * torch.randn(depth.shape, generator=g))
    bad = torch.rand(depth.shape, generator=g) < outliers
    wrong = torch.where(bad, depth * torch.exp(2 * torch.rand(depth.shape, generator=g) - 0.5), wrong)
    return DepthPrediction(wrong, torch.full_like(depth, 0.05))


def aligned(log_errors, seen, *, prior=PRIOR, poses=POSES, truth=TRUTH, **how) -> Alignment:
    """Return the alignment of predictions whose scales are wrong by ``exp(log_errors)``."""
    predictions = [
        predicted(d * math.exp(e), seed=i, **how) for i, (d, e) in enumerate(zip(truth, log_errors, strict=True))
    ]
    projections = [shown(d, s) for d, s in zip(truth, seen, strict=True)]
    return align(predictions, projections, [CAMERA] * len(truth), poses, prior=prior)


def left_over(alignment: Alignment, log_errors) -> torch.Tensor:
    """Return the scale errors that remain, [M] in log scale."""
    return alignment.log_scale + torch.tensor(log_errors, dtype=torch.float64)


@settings(max_examples=8)
@given(scale_errors)
def test_scales_are_recovered_exactly_from_memory(errors):
    found = aligned(errors, ["all"] * 4)
    assert left_over(found, errors).abs().max() < 1e-3
    assert found.tied.all()
    assert (found.shift == 0).all()


@settings(max_examples=8)
@given(scale_errors)
def test_views_without_memory_are_tied_through_their_neighbours(errors):
    """One view shares a strip with memory; the next ones only share walls with each other."""
    found = aligned(errors, ["strip", "none", "none", "none"])
    assert left_over(found, errors).abs().max() < 5e-3
    assert found.tied.all()


@pytest.mark.parametrize("seen", [["all"] * 4, ["strip", "none", "none", "none"]])
@pytest.mark.parametrize(("noise", "outliers"), [(0.1, 0.0), (0.0, 0.2), (0.05, 0.2)])
def test_noise_and_outliers_are_survived(seen, noise, outliers):
    errors = [0.4, -0.5, 0.3, -0.2]
    found = aligned(errors, seen, noise=noise, outliers=outliers)
    assert left_over(found, errors).abs().max() < 0.03
    # What it says about itself is of the right size: not far too sure, and not unsure.
    assert (left_over(found, errors).abs() < 5 * found.deviation).all()
    assert (found.deviation < 0.1).all()


@settings(max_examples=8)
@given(st.floats(-3, 3))
def test_memory_in_another_unit_gives_the_same_answer_in_that_unit(log_unit):
    """Metres or feet: with no belief about the scale, it moves by the unit and nothing else changes."""
    errors, unit = [0.3, -0.2], math.exp(log_unit)
    prior = ScalePrior(common=50.0, own=50.0)
    poses = POSES[:2].clone()
    poses[:, :3, 3] *= unit
    predictions = [predicted(d * math.exp(e), noise=0.03) for d, e in zip(TRUTH[:2], errors, strict=True)]
    before = align(predictions, [shown(d, "strip") for d in TRUTH[:2]], [CAMERA] * 2, POSES[:2], prior=prior)
    after = align(predictions, [shown(d * unit, "strip") for d in TRUTH[:2]], [CAMERA] * 2, poses, prior=prior)
    assert torch.allclose(after.log_scale, before.log_scale + log_unit, atol=1e-3)


@settings(max_examples=8)
@given(st.tuples(*[st.floats(-1000, 1000)] * 3))
def test_it_does_not_matter_where_the_world_has_its_origin(offset):
    moved = pose_from(offset, (0.5, -0.5, 0.5, 0.5)) @ POSES
    errors = [0.2, -0.3, 0.1, 0.0]
    here, there = (aligned(errors, ["strip", "none", "none", "none"], poses=T) for T in (POSES, moved))
    assert torch.allclose(here.log_scale, there.log_scale, atol=1e-6)


class TestNothingConstrains:
    def test_views_keep_the_predictors_scale_and_say_so(self):
        found = aligned([0.0] * 4, ["none"] * 4)
        assert found.log_scale.abs().max() < 0.02
        assert (found.deviation > 0.4).all()
        assert not found.tied.any()

    def test_a_blank_wall_ties_its_views_to_each_other_only(self):
        """Sideways along a wall that fills the picture: the views agree on it at any scale of all of them."""
        poses = torch.stack([look_at((0, y, 0), (2, y, 0)) for y in (-0.4, 0.0, 0.4)])
        wall = [torch.full(CAMERA.size, 2.0)] * 3
        errors = [0.2, -0.2, 0.0]
        found = aligned(errors, ["none"] * 3, poses=poses, truth=wall)
        left = left_over(found, errors)
        assert (left - left.mean()).abs().max() < 0.02
        assert (found.deviation > 0.4).all()

    def test_memory_of_a_blank_wall_does_fix_the_scale(self):
        poses = torch.stack([look_at((0, y, 0), (2, y, 0)) for y in (-0.4, 0.4)])
        wall = [torch.full(CAMERA.size, 2.0)] * 2
        found = aligned([0.5, -0.5], ["strip", "none"], poses=poses, truth=wall)
        assert left_over(found, [0.5, -0.5]).abs().max() < 5e-3
        assert found.tied.all()

    def test_views_that_share_nothing_take_the_common_part_of_the_error(self):
        """What one view tells of the network's scale holds for the others, as far as errors are common."""
        poses = torch.stack([look_at((0, 0, 0), (2, 0, 0)), look_at((0, 0, 0), (-2, 0, 0))])
        truth = [box_view(CAMERA, T).depth for T in poses]
        found = aligned([0.4, 0.4], ["all", "none"], poses=poses, truth=truth, prior=ScalePrior(common=0.5, own=0.05))
        assert left_over(found, [0.4, 0.4]).abs().max() < 0.02
        assert found.deviation[1] > found.deviation[0]
        own = aligned([0.4, 0.0], ["all", "none"], poses=poses, truth=truth, prior=ScalePrior(common=0.0, own=0.5))
        assert own.log_scale[1].abs() < 1e-6
        assert not own.tied[1]


class TestImaginedMemory:
    """A world that is drawn by itself may lose its scale: a predictor that knows metres pulls it back."""

    @staticmethod
    def left(memory_log_scale, trust, prior, views=4):
        projections = []
        for depth in TRUTH[:views]:
            projection = shown(depth * math.exp(memory_log_scale), "all")
            projections.append(dataclasses.replace(projection, confidence=torch.full_like(depth, trust)))
        found = align([predicted(d) for d in TRUTH[:views]], projections, [CAMERA] * views, POSES[:views], prior=prior)
        return found.log_scale.mean()

    def test_it_is_followed_and_pulled_at(self):
        sure, unsure = ScalePrior(common=0.02, own=0.02), ScalePrior(common=0.2, own=0.2)
        assert 0.002 < self.left(0.1, IMAGINED_CONFIDENCE, sure) < 0.05
        assert 0.07 < self.left(0.1, IMAGINED_CONFIDENCE, unsure) < 0.0999

    def test_what_a_camera_saw_is_moved_less(self):
        prior = ScalePrior(common=0.05, own=0.05)
        seen, imagined = (self.left(0.1, trust, prior) for trust in (1.0, IMAGINED_CONFIDENCE))
        assert 0.06 < seen <= 0.1
        assert imagined < 0.5 * seen

    def test_a_view_of_which_the_scale_is_not_known_follows_memory(self):
        projections = [shown(depth * 1.3, "all") for depth in TRUTH[:1]]
        found = [
            align(
                [dataclasses.replace(predicted(TRUTH[0]), scale_deviation=deviation)],
                projections,
                [CAMERA],
                POSES[:1],
                prior=ScalePrior(common=0.01, own=0.02),
            ).log_scale[0]
            for deviation in (None, 0.5)
        ]
        assert found[1] > 0.2 > 0.1 > found[0]

    def test_what_cannot_be_the_same_surface_is_not_followed(self):
        prior = ScalePrior(common=0.1, own=0.1)
        assert self.left(-1.5, IMAGINED_CONFIDENCE, prior).abs() < 0.02
        assert self.left(-1.5, 1.0, prior).abs() < 0.02


class TestShift:
    """Predictors that give inverse depth up to scale and shift."""

    @settings(max_examples=8)
    @given(st.floats(0.2, 5), st.floats(0.0, 0.5))
    def test_scale_and_shift_are_recovered(self, factor, offset):
        """Each view has a scale and shift of its own, near to the others': it is one network."""
        factors, offsets = (factor * torch.tensor([1.0, 1.2, 0.9, 1.1])), (offset * torch.tensor([1.0, 0.9, 1.1, 1.2]))
        predictions = [
            DepthPrediction(1 / (f * (1 / d + o)), torch.full_like(d, 0.05))
            for d, f, o in zip(TRUTH, factors, offsets, strict=True)
        ]
        projections = [shown(d, s) for d, s in zip(TRUTH, ["all", "none", "strip", "none"], strict=True)]
        found = align(predictions, projections, [CAMERA] * 4, POSES, prior=None)
        for i, (prediction, depth) in enumerate(zip(predictions, TRUTH, strict=True)):
            assert (found.apply(i, prediction.depth) / depth - 1).abs().median() < 0.01
        assert found.tied.all()

    def test_without_memory_nothing_is_tied(self):
        found = aligned([0.0] * 4, ["none"] * 4, prior=None)
        assert not found.tied.any()
        assert (found.deviation > 1).all()


def test_what_the_predictor_does_not_know_or_finds_empty_stays_so():
    depth = TRUTH[0].clone()
    depth[:10], depth[10:20] = torch.nan, torch.inf
    prediction = DepthPrediction(depth * 1.3, torch.full_like(depth, 0.05))
    found = align([prediction], [shown(TRUTH[0], "all")], [CAMERA], POSES[:1], prior=PRIOR)
    out = found.apply(0, prediction.depth)
    assert out[:10].isnan().all()
    assert torch.isposinf(out[10:20]).all()
    assert torch.allclose(out[20:], TRUTH[0][20:], rtol=2e-3)


def test_inputs_are_left_alone():
    prediction, projection = predicted(TRUTH[0], noise=0.1), shown(TRUTH[0], "strip")
    before = [t.clone() for t in (prediction.depth, projection.depth, POSES)]
    align([prediction], [projection], [CAMERA], POSES[:1], prior=PRIOR)
    after = (prediction.depth, projection.depth, POSES)
    assert all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1)) for a, b in zip(before, after, strict=True))


def test_views_of_different_sizes_are_aligned_together():
    small = Camera.from_fov(40, 40, 60)
    truth = [TRUTH[0], box_view(small, POSES[1], panel=True).depth]
    nothing = shown(truth[1], torch.zeros(small.size, dtype=torch.bool))
    predictions = [predicted(truth[0] * 1.4), predicted(truth[1] * 0.7)]
    found = align(predictions, [shown(TRUTH[0], "all"), nothing], [CAMERA, small], POSES[:2], prior=PRIOR)
    assert torch.allclose(found.log_scale.exp(), torch.tensor([1 / 1.4, 1 / 0.7], dtype=torch.float64), rtol=0.01)
