"""Textures are seamless, seeded and filtered."""

from __future__ import annotations

import pytest
import torch

from vmem_ros.scenes.materials import TextureAtlas, paint, to_linear
from vmem_ros.scenes.pictures import PICTURES
from vmem_ros.scenes.textures import PAINTERS, Texture

COLOURS = ((0.8, 0.3, 0.2), (0.2, 0.4, 0.7), (0.9, 0.8, 0.3), (0.1, 0.5, 0.3), (0.5, 0.5, 0.5), (0.9, 0.9, 0.9))
FITTED = {"rug", "books", "panel", "drawers", "ribs", "sky"}


@pytest.mark.parametrize("kind", sorted({**PAINTERS, **PICTURES}))
def test_a_texture_is_an_image_and_the_same_for_the_same_recipe(kind: str) -> None:
    recipe = Texture(kind, 5, COLOURS, size=64)
    image = paint(recipe)
    assert image.shape == (3, 64, 64)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    assert torch.equal(image, paint(recipe))
    assert not torch.equal(image, paint(Texture(kind, 6, COLOURS, size=64))) or kind == "ribs"
    assert float(image.std(dim=(1, 2)).max()) > 0.004


@pytest.mark.parametrize("kind", sorted(set(PAINTERS) - FITTED))
def test_repeating_textures_have_no_seam(kind: str) -> None:
    image = paint(Texture(kind, 5, COLOURS, size=256))
    for dim in (1, 2):
        inner = image.diff(dim=dim).abs()
        steps = inner.mean(dim=(0, 3 - dim))
        seam = (image.select(dim, 0) - image.select(dim, -1)).abs().mean()
        assert float(seam) <= float(steps.max()) * 1.05 + 0.01


def test_sampling_reads_texels_when_near_and_the_mean_when_far() -> None:
    recipes = [Texture("tiles", 1, COLOURS, size=64), Texture("wood", 2, COLOURS, size=128)]
    atlas = TextureAtlas.of(recipes, "cpu")
    for index, recipe in enumerate(recipes):
        linear = to_linear(paint(recipe)).flatten(1)
        line = (torch.arange(recipe.size) + 0.5) / recipe.size
        v, u = (x.flatten() for x in torch.meshgrid(line, line, indexing="ij"))
        which = torch.full_like(u, index, dtype=torch.long)
        near = atlas.sample(which, u, v, torch.full_like(u, 1e-4))
        torch.testing.assert_close(near, linear, atol=0.006, rtol=0)
        wrapped = atlas.sample(which, u - 3, v + 2, torch.full_like(u, 1e-4))
        torch.testing.assert_close(wrapped, near, atol=0.01, rtol=0)
        far = atlas.sample(which, u, v, torch.full_like(u, 4.0))
        torch.testing.assert_close(far, linear.mean(dim=1)[:, None].expand_as(far), atol=0.01, rtol=0)


def test_linear_light_follows_the_standard_curve() -> None:
    x = torch.linspace(0, 1, 101)
    standard = torch.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    assert float((to_linear(x) - standard).abs().max()) < 0.003
