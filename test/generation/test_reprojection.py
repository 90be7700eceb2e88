"""The generator without a network: what memory shows, holes inpainted."""

import pytest
import torch

from memories import CAMERA, memory_of, views_at
from rooms import box_view, orbit, psnr
from vmem_ros.errors import CancelledError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import look_at
from vmem_ros.types import Projection, Recall, Target

VIEWS = views_at(orbit(8))


@pytest.fixture(scope="module")
def memory():
    return memory_of(VIEWS)


def generate(memory, targets, **options):
    return ReprojectionGenerator().generate(memory.read(targets, 4), targets, **options)


def test_smoke(memory):
    targets = [Target(CAMERA, T, stamp_ns=n) for n, T in enumerate(orbit(24)[:3])]
    views = generate(memory, targets)
    assert ReprojectionGenerator.uses == {"projection"}
    for view, target in zip(views, targets, strict=True):
        assert view.image.shape == (*CAMERA.size, 3)
        assert view.source == "generated"
        assert view.stamp_ns == target.stamp_ns
        assert view.camera == target.camera
        assert torch.equal(view.T_world_camera, target.T_world_camera)
        assert view.depth is None


class TestValues:
    def test_a_stored_pose_gives_the_stored_view(self, memory):
        (view,) = generate(memory, [VIEWS[2].target])
        assert psnr(view.image, VIEWS[2].image) > 45

    def test_a_new_pose_gives_what_a_camera_would_see(self, memory):
        truth = box_view(CAMERA, orbit(16, radius=0.8)[3])
        (view,) = generate(memory, [truth.target])
        assert psnr(view.image, truth.image) > 27

    def test_seen_pixels_are_not_touched(self, memory):
        target = Target(CAMERA, look_at((-1.5, 1.0, 0.2), (2, -0.3, 0)))
        projection = memory.project(target)
        assert 0.5 < projection.seen.float().mean() < 1
        (view,) = generate(memory, [target])
        assert torch.equal(view.image[projection.seen], projection.image[projection.seen])

    def test_holes_continue_their_surroundings(self):
        seen = torch.ones(CAMERA.size, dtype=torch.bool)
        seen[20:28, 20:40] = False
        image = torch.where(seen[..., None], torch.tensor([200, 40, 90]), 0).to(torch.uint8)
        (view,) = ReprojectionGenerator().generate(recall_of(image, seen), [VIEWS[0].target])
        assert (view.image.int() - torch.tensor([200, 40, 90])).abs().max() <= 2

    @pytest.mark.parametrize("references", [VIEWS[:2], []])
    def test_nothing_seen_gives_the_mean_colour_of_the_references(self, references):
        seen = torch.zeros(CAMERA.size, dtype=torch.bool)
        image = torch.zeros(*CAMERA.size, 3, dtype=torch.uint8)
        (view,) = ReprojectionGenerator().generate(recall_of(image, seen, references), [VIEWS[0].target])
        means = [v.image.float().mean(dim=(0, 1)) for v in references]
        expected = torch.stack(means).mean(dim=0) if means else torch.full((3,), 127.0)
        assert (view.image.float() - expected).abs().max() <= 0.5

    def test_seed_does_not_matter(self, memory):
        target = Target(CAMERA, orbit(24)[1])
        images = [generate(memory, [target], seed=seed)[0].image for seed in (None, 1, 2)]
        assert torch.equal(images[0], images[1])
        assert torch.equal(images[0], images[2])


class TestSteps:
    targets = tuple(Target(CAMERA, T) for T in orbit(24)[:3])

    def test_are_reported(self, memory):
        steps = []
        generate(memory, self.targets, on_step=lambda step, of: steps.append((step, of)))
        assert steps == [(1, 3), (2, 3), (3, 3)]

    @pytest.mark.parametrize("after", [0, 1, 2])
    def test_cancel(self, memory, after):
        steps = []
        with pytest.raises(CancelledError, match=f"before view {after + 1} of 3"):
            generate(
                memory,
                self.targets,
                on_step=lambda step, of: steps.append(step),
                should_stop=lambda: len(steps) == after,
            )
        assert len(steps) == after

    def test_needs_a_projection_per_target(self, memory):
        recall = memory.read(self.targets[:2], 4)
        with pytest.raises(ValueError, match="zip"):
            ReprojectionGenerator().generate(recall, self.targets)


def recall_of(image: torch.Tensor, seen: torch.Tensor, references=()) -> Recall:
    """Return a recall with one projection of this picture."""
    depth = torch.where(seen, 2.0, torch.nan)
    projection = Projection(image, depth, seen, torch.where(seen, 0, -1), seen.float())
    n = len(references)
    return Recall(tuple(references), torch.full((n,), 1 / max(n, 1)), tuple(range(n)), (projection,))
