"""Somebody walks through a house while it is looked at: with a mask no memory shows a trace of them."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from passers_by import in_world, looks_like_it, stands_there, with_passer_by
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.types import Target, View
from vmem_ros.world import World, default_world

CAMERA, CELL = Camera.from_fov(96, 64, 80), 8
#: Across the living room, before a camera that sways, and where it looks from afterwards.
PLACES = torch.stack([torch.linspace(0.6, 2.8, 8), torch.linspace(3.2, 2.9, 8)], dim=1).double()
POSES = [look_at((1.5 + 0.05 * i, 0.7, 1.35), (1.7, 4.5, 1.0)) for i in range(8)]
LATER = [look_at((x, 0.75, 1.3), (1.7, 4.4, 0.95)) for x in (1.52, 1.68, 1.83)]


class Ghosts(NamedTuple):
    """Shares of pixels, and of cells of latents, that show what is not there any more.

    :param colors: pixels with its colour.
    :param depth: pixels whose depth is that of a place where it stood, though nothing is there.
    :param latents: cells with its colour; ``None`` without features.
    """

    colors: float
    depth: float
    latents: float | None


@pytest.fixture(scope="module")
def house() -> House:
    return House(EVALUATION_SEEDS[0])


def encoded(view: View) -> View:
    return view.having(latent=avg_pool2d(view.image.permute(2, 0, 1).float(), CELL))


def watched(house: House, kind: str, *, masked: bool = False, places: Tensor | None = PLACES) -> World:
    """A world that saw somebody walk by, frame by frame; without places, nobody."""
    world = default_world(memory=load_memory(kind))
    for number, T in enumerate(POSES):
        view, mask = house.view(Target(CAMERA, T)), None
        if places is not None:
            view, mask = with_passer_by(view, places[number])
        world.observe(encoded(view), mask=mask if masked else None)
    return world


def ghosts(house: House, world: World) -> Ghosts:
    """What is left of them when they are gone, and the camera looks again."""
    found = []
    for T in LATER:
        truth = house.view(Target(CAMERA, T))
        shown = world.glimpse(truth.target)
        assert shown.seen.float().mean() > 0.9
        colors = looks_like_it(shown.image) & shown.seen & ~looks_like_it(truth.image)
        nearer = (shown.depth < 0.9 * truth.depth) & stands_there(in_world(truth, shown.depth), PLACES)
        cells = None
        if shown.features is not None:
            cells = float((looks_like_it(shown.features.movedim(0, -1)) & shown.features_seen).float().mean())
        found.append((float(colors.float().mean()), float(nearer.float().mean()), cells))
    colors, nearer, cells = zip(*found, strict=True)
    latents = None if None in cells else sum(cells) / len(cells)
    return Ghosts(sum(colors) / len(colors), sum(nearer) / len(nearer), latents)


@pytest.mark.parametrize("kind", ["surfel", "points", "latent"])
def test_a_mask_leaves_no_ghost(house: House, kind: str) -> None:
    found, nobody = (ghosts(house, watched(house, kind, **how)) for how in ({"masked": True}, {"places": None}))
    assert found.colors == 0
    # Tables have edges there, too.
    assert found.depth <= nobody.depth + 0.002
    assert not found.latents


@pytest.mark.parametrize(("kind", "least"), [("surfel", 0.1), ("points", 0.3), ("latent", 0.2)])
def test_without_a_mask_there_are_ghosts(house: House, kind: str, least: float) -> None:
    """How bad it is: docs/memory.md has the figures. What cameras look through afterwards fades in one memory."""
    found = ghosts(house, watched(house, kind))
    assert found.colors > least
    assert found.depth > least
    if kind == "latent":
        assert found.latents > least
