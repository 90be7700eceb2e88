"""Exposure: found from what views have in common, and taken out where they are blended."""

import dataclasses

import pytest
import torch

from memories import CAMERA, memory_of, views_at
from rooms import box_view, orbit, psnr
from vmem_ros.errors import WorldFileError
from vmem_ros.memory.exposure import log_exposure, shown_exposure
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.types import Target

ORBIT = orbit(12)
GAIN = torch.tensor([0.8, 0.7, 0.6])


def exposed(view, gain: torch.Tensor):
    return dataclasses.replace(view, image=(view.image.float() * gain).round().clamp(0, 255).to(torch.uint8))


class TestOneView:
    def test_a_gain_of_each_channel_is_found(self):
        first, second = views_at(ORBIT[:2])
        found = log_exposure(exposed(second, GAIN), [first], torch.zeros(1, 3))
        assert torch.allclose(found.exp(), GAIN, atol=0.06)

    def test_it_adds_to_that_of_the_others(self):
        first, second = views_at(ORBIT[:2])
        known = torch.tensor([[0.2, 0.1, -0.1]])
        alone, added = (log_exposure(second, [first], e) for e in (torch.zeros(1, 3), known))
        assert torch.allclose(added - alone, known[0], atol=0.05)

    def test_nothing_in_common_says_nothing(self):
        first = views_at(ORBIT[:1])[0]
        away = first.T_world_camera @ torch.diag(torch.tensor([-1.0, 1, -1, 1], dtype=torch.float64))
        assert torch.equal(
            log_exposure(box_view(CAMERA, away), [exposed(first, GAIN)], torch.ones(1, 3)), torch.zeros(3)
        )
        assert torch.equal(log_exposure(first, [], torch.zeros(0, 3)), torch.zeros(3))

    def test_black_white_and_blind_pixels_say_nothing(self):
        first, second = views_at(ORBIT[:2])
        for image in (torch.zeros_like(second.image), torch.full_like(second.image, 255)):
            dark = dataclasses.replace(second, image=image)
            assert torch.equal(log_exposure(dark, [first], torch.zeros(1, 3)), torch.zeros(3))
        blind = dataclasses.replace(second, depth=torch.full_like(second.depth, torch.nan))
        assert torch.equal(log_exposure(blind, [first], torch.zeros(1, 3)), torch.zeros(3))

    def test_compiled_code_says_the_same(self, both):
        first, second, third = views_at(ORBIT[:3])
        known = torch.tensor([[0.2, 0.1, -0.1], [0.0, 0.1, 0.3]])
        one, other = both(lambda: log_exposure(exposed(third, GAIN), [first, second], known))
        assert torch.allclose(one, other, atol=1e-5)

    def test_something_that_changed_does_not_matter(self):
        first, second = views_at(ORBIT[:2])
        image = exposed(second, GAIN).image.clone()
        image[:, : CAMERA.width // 4] = 200
        found = log_exposure(dataclasses.replace(second, image=image), [first], torch.zeros(1, 3))
        assert torch.allclose(found.exp(), GAIN, atol=0.08)


def test_what_is_shown_is_exposed_like_the_nearest_view():
    exposures = torch.tensor([[0.0, 0, 0], [1.0, 1, 1]])
    for at, near in ((0, 0.0), (1, 1.0)):
        assert torch.allclose(shown_exposure(exposures, ORBIT[:2], ORBIT[at]), torch.full((3,), near), atol=0.05)


class TestMemory:
    def walk(self) -> SurfelMemory:
        """Every other view of a walk is darker, and tinted."""
        return memory_of([exposed(v, GAIN) if i % 2 else v for i, v in enumerate(views_at(ORBIT, panel=True))])

    def test_a_picture_has_one_exposure(self):
        memory = self.walk()
        between = orbit(16, radius=0.8)[3]
        truth = box_view(CAMERA, between, panel=True)
        found = memory.project(Target(CAMERA, between))
        seen = found.seen
        ratio = (found.image[seen].float() + 1).log() - (truth.image[seen].float() + 1).log()
        # Of whichever exposure: the same all over the picture.
        assert (ratio - ratio.median(dim=0).values).abs().median() < 0.05
        level = ratio.median(dim=0).values
        balanced = (found.image.float() * (-level).exp()).clamp(0, 255).to(torch.uint8)
        assert psnr(balanced[seen][None], truth.image[seen][None]) > 24

    def test_pictures_stay_as_they_came(self):
        memory = self.walk()
        for number in (2, 3):
            view = memory.views[number]
            found = memory.project(view.target)
            assert psnr(found.image, view.image) > 45

    def test_it_is_undone_saved_and_loaded(self):
        memory = self.walk()
        before = memory._store.exposures.clone()
        tensors, metadata = memory.state()
        other = memory.empty_copy()
        other.restore(tensors, metadata)
        assert torch.equal(other._store.exposures, before)
        assert before.abs().max() > 0.2
        memory.undo(5)
        assert torch.equal(memory._store.exposures, before[:-5])

    def test_files_without_exposures_load(self):
        memory = self.walk()
        tensors, metadata = memory.state()
        del tensors["views/log_exposure"]
        other = memory.empty_copy()
        other.restore(tensors, metadata)
        assert torch.equal(other._store.exposures, torch.zeros(len(memory), 3))

    @pytest.mark.parametrize("broken", [torch.full((12, 3), torch.nan), torch.zeros(3, 3)])
    def test_exposures_that_cannot_be_are_refused(self, broken):
        memory = self.walk()
        tensors, metadata = memory.state()
        with pytest.raises(WorldFileError, match="exposures"):
            memory.empty_copy().restore(tensors | {"views/log_exposure": broken}, metadata)
