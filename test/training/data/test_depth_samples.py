"""Samples for the depth network."""

import pytest
import torch

from training_runs import DATA, DEPTH, changed
from vmem_ros.training.data.depth_samples import DepthSampler
from vmem_ros.training.data.depth_walks import DepthWalkFactory
from vmem_ros.training.data.walk_caches import OpenWalkCache
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes import DepthRecipe, as_recipe
from vmem_ros.training.recipes.data import Data


def recipe(**fields) -> DepthRecipe:
    return as_recipe(changed(DEPTH, **fields))


@pytest.fixture(scope="module")
def sampler(cache):
    def make(**fields) -> DepthSampler:
        made = recipe(**fields)
        return DepthSampler(WalkStream(OpenWalkCache(cache, made.data, DepthWalkFactory), made.data), made, multiple=4)

    return make


class TestSamples:
    def test_equal_numbers_give_equal_samples_and_others_do_not(self, sampler):
        one, again, other = (sampler().batch(first, 4) for first in (8, 8, 12))
        assert torch.equal(one.images, again.images)
        assert torch.equal(one.prompt.nan_to_num(-1), again.prompt.nan_to_num(-1))
        assert not torch.equal(one.images, other.images)

    def test_a_mirrored_view_has_mirrored_rays(self, sampler):
        """To the right of a picture lies what is to the right in the world, or in the mirror."""
        batch = sampler(crop=0.0, prompted=0.0, imperfect=0.0).batch(0, 16)
        assert (batch.rays[:, 0].diff(dim=-1) > 0).all()
        made = DepthWalkFactory(Data(**DATA))
        views = torch.cat([made.make(number).images for number in range(2)]).permute(0, 3, 1, 2).float() / 127.5 - 1
        upright, mirrored = (
            [bool((views == each).flatten(1).all(dim=1).any()) for each in images]
            for images in (batch.images, batch.images.flip(-1))
        )
        assert any(upright)
        assert any(mirrored)
        assert all(a or b for a, b in zip(upright, mirrored, strict=True))

    def test_prompts_and_wanted_depth_are_scaled_alike(self, sampler):
        exact = sampler(prompted=1.0, prompt_scale=0.0, crop=0.0).batch(0, 16)
        wrong = sampler(prompted=1.0, prompt_scale=0.5, crop=0.0).batch(0, 16)
        told = torch.isfinite(exact.prompt).flatten(1).any(dim=1)
        factors = (wrong.depth / exact.depth).flatten(1).nanmedian(dim=1).values
        assert told.any()
        assert factors[told].log().abs().max() > 0.2
        assert torch.allclose(factors[~told], torch.ones(int((~told).sum())))
        ratio = (wrong.prompt / exact.prompt).flatten(1).nanmedian(dim=1).values
        assert torch.allclose(ratio[told], factors[told], rtol=1e-3)

    def test_without_a_prompt_nothing_is_told(self, sampler):
        assert sampler(prompted=0.0).batch(0, 8).prompt.isnan().all()

    def test_cut_pictures_keep_the_rays_of_their_pixels(self, sampler):
        cut = [sampler(crop=1.0, imperfect=0.0).batch(first, 1) for first in range(0, 24, 4)]
        sizes = {tuple(batch.images.shape[-2:]) for batch in cut}
        assert len(sizes) > 2
        assert all(height % 4 == 0 and width % 4 == 0 and min(height, width) >= 16 for height, width in sizes)
        assert all(batch.rays.shape[-2:] == batch.depth.shape[-2:] == batch.images.shape[-2:] for batch in cut)
        # A step from pixel to pixel is the same in a part of a picture as in all of it, mirrored or not.
        steps = [batch.rays[0, 0].diff(dim=-1).abs() for batch in cut]
        fovs = torch.tensor([60.0, 80.0]).deg2rad()
        low, high = (2 * torch.tan(fovs / 2) / 32).tolist()
        assert all(low * 0.999 <= step.min() and step.max() <= high * 1.001 for step in steps)
