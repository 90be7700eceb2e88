"""Confidence says for every pixel: invented now (0), remembered but imagined (0.5), or once seen by a camera (1)."""

import dataclasses

import pytest
import torch

from memories import CAMERA, views_at
from rooms import orbit
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import look_at
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryOptions
from vmem_ros.pointmaps import MemoryDepth, MemoryDepthOptions
from vmem_ros.types import Target
from vmem_ros.world import World, default_world

VIEWS = views_at(orbit(8))
ASIDE = Target(CAMERA, orbit(8)[1])


def nudged(target: Target, metres: float) -> Target:
    """Return the target moved a little, so that it is generated and not reused."""
    T = target.T_world_camera.clone()
    T[0, 3] += metres
    return Target(target.camera, T)


class Painter(ReprojectionGenerator):
    """Paints every view black."""

    def generate(self, recall, targets, **options):
        views = super().generate(recall, targets, **options)
        return [dataclasses.replace(view, image=torch.zeros_like(view.image)) for view in views]


@pytest.fixture(params=["pixels", "surfels"])
def world(request):
    memory, room = SurfelMemory(SurfelMemoryOptions(detail=request.param)), MemoryDepthOptions(prior="room")
    out = default_world(memory=memory, estimator=MemoryDepth(room))
    out.seed(VIEWS[0])
    return out


def test_what_the_camera_saw_is_one(world):
    (frame,) = world.explore([nudged(VIEWS[0].target, 0.01)])
    assert (frame.confidence == 1).float().mean() > 0.95


def test_what_is_drawn_anew_is_not_what_a_camera_saw():
    drawn = World(SurfelMemory(), Painter(), MemoryDepth(), composite="none")
    drawn.seed(VIEWS[0])
    (frame,) = drawn.explore([nudged(VIEWS[0].target, 0.05)])
    assert frame.confidence.max() == 0.5
    shown = drawn.glimpse(frame.view.target)
    painted = shown.seen & (shown.image == 0).all(dim=-1)
    assert (shown.confidence[painted] < 1).all()


def test_what_is_invented_is_zero(world):
    (frame,) = world.explore([ASIDE])
    invented = frame.confidence == 0
    assert torch.equal(invented, ~frame.projection.seen)
    assert invented.float().mean() > 0.2


def test_a_second_look_at_what_was_invented_is_a_half(world):
    (first,) = world.explore([ASIDE])
    (second,) = world.explore([nudged(ASIDE, 0.005)])
    invented = first.confidence == 0
    again = second.confidence[invented]
    assert (again > 0).any(), "nothing of what was invented is remembered"
    assert set(again.unique().tolist()) <= {0.0, 0.5, 1.0}
    # At the border of what the camera saw its surfels reach a little into what was invented.
    assert (again == 1).float().mean() < 0.1


def test_looking_again_and_again_makes_nothing_real(world):
    """Ten looks from slightly other places, each remembered: the share that counts as seen must not creep up."""
    (first,) = world.explore([ASIDE])
    frames = [next(world.explore([nudged(ASIDE, 0.004 * n)])) for n in range(1, 11)]
    shares = [float((f.confidence == 1).float().mean()) for f in frames]
    seen_at_first = float((first.confidence == 1).float().mean())
    assert max(shares) < seen_at_first + 0.05


def test_the_stored_view_keeps_what_was_real(world):
    (first,) = world.explore([ASIDE])
    (again,) = world.explore([ASIDE])
    assert again.reused
    assert torch.equal(again.confidence == 1, first.confidence == 1)
    assert (again.confidence[first.confidence == 0] == 0.5).all()


def test_a_camera_makes_it_real(world):
    """A look at invented space, then a real camera at the same place: now it is seen."""
    list(world.explore([ASIDE]))
    world.observe(VIEWS[1])
    found = world.glimpse(nudged(ASIDE, 0.005))
    assert (found.confidence[found.seen] == 1).float().mean() > 0.95


def test_glimpse_and_frame_agree(world):
    target = Target(CAMERA, look_at((0, 0, 0.1), (-2, 0.7, 0)))
    glimpse = world.glimpse(target)
    (frame,) = world.explore([target])
    assert torch.equal(glimpse.confidence, frame.confidence)
    assert torch.equal(glimpse.image, frame.projection.image)
