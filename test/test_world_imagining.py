"""Imagining several paths at once: figures, batches, two seeds, order, progress, cancelling, and what is refused."""

from __future__ import annotations

import functools
import math

import pytest
import torch

from rooms import box_view, orbit
from tiny_models import tiny_pipeline
from vmem_ros.errors import CancelledError, InvalidPoseError, ModelError, NotSeededError
from vmem_ros.generation import ReprojectionGenerator, VMemGenerator
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.geometry import Camera, look_at
from vmem_ros.types import Target
from vmem_ros.world import Progress, World, default_world

CAMERA = Camera.from_fov(48, 32, 80)
AHEAD = [look_at((x, 0.0, 0.0), (3.0, 0.0, 0.0)) for x in (-1.0, -0.8, -0.6, -0.4, -0.2, 0.0)]
BEHIND = [look_at((x, 0.0, 0.0), (-3.0, 0.5, 0.0)) for x in (-1.0, -1.1)]
STEPS = 3


def path(poses: list[torch.Tensor]) -> list[Target]:
    return [Target(CAMERA, T, stamp_ns=10 + i) for i, T in enumerate(poses)]


PATHS = [path(AHEAD), path(BEHIND), path(orbit(8)[:1])]


@functools.cache
def network() -> VMemGenerator:
    return VMemGenerator(tiny_pipeline(), sampling=SamplingOptions(sampler="fast", num_inference_steps=STEPS))


def world_of(generator: ReprojectionGenerator | VMemGenerator) -> World:
    """Return a world that has seen what lies ahead, whose chunks have two views."""
    world = default_world(generator)
    world.chunk = 2
    world.observe(box_view(CAMERA, AHEAD[0]))
    return world


@pytest.fixture
def world() -> World:
    return world_of(network())


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests are drawn together, each time."""
    sizes: list[int] = []
    draw = VMemGenerator.generate_together

    def counted(self, requests, **options):
        sizes.append(len(requests))
        return draw(self, requests, **options)

    monkeypatch.setattr(VMemGenerator, "generate_together", counted)
    return sizes


def test_figures_of_views_and_paths(world: World) -> None:
    ahead, behind, _ = world.imagine(PATHS, seed=1)
    assert [view.number for view in ahead.views] == list(range(6))
    assert {view.path for view in behind.views} == {1}
    first = ahead.views[0]
    assert first.frame.reused
    assert (first.figures.remembered, first.figures.confidence, first.figures.disagreement) == (1.0, 1.0, 0.0)
    for view in (*ahead.views, *behind.views):
        depth = view.frame.view.depth
        assert view.figures.remembered == pytest.approx(float(view.frame.projection.seen.float().mean()))
        assert view.figures.confidence == pytest.approx(float(view.frame.confidence.mean()))
        if bool(depth.isfinite().any()):
            assert view.figures.nearest_depth_m == float(depth[depth.isfinite()].min())
        else:
            assert math.isnan(view.figures.nearest_depth_m)
    assert behind.figures.remembered < 0.2 < 0.9 < ahead.figures.remembered
    assert ahead.figures.confidence > behind.figures.confidence
    # Two draws agree where memory shows what is to be seen.
    assert behind.figures.disagreement > 0.02 > ahead.figures.disagreement
    assert ahead.figures.nearest_depth_m == min(view.figures.nearest_depth_m for view in ahead.views)


def test_a_generator_without_chance_does_not_disagree() -> None:
    world = world_of(ReprojectionGenerator())
    for found in world.imagine(PATHS):
        assert math.isnan(found.figures.disagreement)


def test_one_seed_for_half_the_work(world: World, batches: list[int]) -> None:
    (found,) = world.imagine([path(BEHIND)], seed=1, two_seeds=False)
    assert math.isnan(found.figures.disagreement)
    (both,) = world.imagine([path(BEHIND)], seed=1)
    assert both.figures.disagreement > 0
    assert batches == [1, 2]


def test_paths_are_drawn_together(world: World, batches: list[int]) -> None:
    """In both draws of three paths, of which one goes on twice. A stored view is not drawn, but there is one beside."""
    together = world.imagine(PATHS, seed=1)
    assert batches == [6, 2, 2]
    batches.clear()
    few = world.imagine(PATHS, seed=1, together=3)
    assert batches == [2] * 5
    for one, other in zip(together, few, strict=True):
        for a, b in zip(one.views, other.views, strict=True):
            assert (a.frame.view.image.int() - b.frame.view.image.int()).abs().max() <= 2


def test_equal_seeds_and_other_seeds(world: World) -> None:
    behind = [path(BEHIND)]
    (one,), (same,), (other,) = (world.imagine(behind, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.views[0].frame.view.image, same.views[0].frame.view.image)
    assert one.figures.disagreement == same.figures.disagreement
    assert not torch.equal(one.views[0].frame.view.image, other.views[0].frame.view.image)


@pytest.mark.parametrize("generator", [network, ReprojectionGenerator])
def test_views_come_when_they_are_drawn_and_progress_counts_all(generator) -> None:
    world = world_of(generator())
    told: list[Progress | tuple[int, int]] = []
    for view in world.imagine_views(PATHS, seed=1, on_progress=told.append):
        told.append((view.path, view.number))
    views = [each for each in told if isinstance(each, tuple)]
    assert views == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0), (0, 2), (0, 3), (0, 4), (0, 5)]
    assert isinstance(told[-1], tuple)
    steps = [each for each in told if isinstance(each, Progress)]
    assert all(each.views == 9 for each in steps)
    fractions = [each.fraction for each in steps]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    for at, each in enumerate(told):
        if isinstance(each, Progress):
            assert each.view == 1 + sum(isinstance(before, tuple) for before in told[:at])


def test_cancelled_between_steps(world: World) -> None:
    steps: list[Progress] = []
    views = []
    run = world.imagine_views(PATHS, seed=1, on_progress=steps.append, should_stop=lambda: len(steps) > STEPS)
    with pytest.raises(CancelledError):
        views.extend(run)
    assert len(views) == 5
    assert len(steps) == STEPS + 1
    assert not world._version.branched


def test_branches_go_when_nobody_asks_for_more(world: World) -> None:
    run = world.imagine_views(PATHS)
    next(run)
    assert world._version.branched
    run.close()
    assert not world._version.branched


def test_what_is_refused(world: World) -> None:
    with pytest.raises(InvalidPoseError, match="there are no paths"):
        world.imagine([])
    with pytest.raises(InvalidPoseError, match="path 2 of 2 has no poses"):
        world.imagine([path(BEHIND), []])
    with pytest.raises(ModelError, match="uses no prompt"):
        world.imagine(PATHS, prompt="a garden")
    with pytest.raises(ValueError, match="together must be at least 1, got 0"):
        world.imagine(PATHS, together=0)
    world.reset()
    with pytest.raises(NotSeededError):
        world.imagine(PATHS)
