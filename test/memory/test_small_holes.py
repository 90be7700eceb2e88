"""Small holes of a projection are closed along surfaces and marked; everything else stays."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from comparisons import equal
from planes import CAMERA, plane_depth
from rooms import box_view, orbit
from vmem_ros.memory.small_holes import close_small_holes
from vmem_ros.types import CLOSED_CONFIDENCE, Projection

DEPTH = plane_depth((0.3, 0.2, 0.9))


def maps(projection: Projection) -> list[torch.Tensor]:
    return [projection.image, projection.depth, projection.seen, projection.ids, projection.confidence]


def shown(*holes, depth: torch.Tensor = DEPTH) -> Projection:
    """Return a picture whose colours rise to the right and downwards, with holes."""
    height, width = CAMERA.size
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([2 * u, 3 * v, torch.full_like(u, 90)], dim=-1).to(torch.uint8)
    seen = torch.ones(CAMERA.size, dtype=torch.bool)
    for hole in holes:
        seen[hole] = False
    return projection(image, depth, seen, 0.75)


def projection(image: torch.Tensor, depth: torch.Tensor, seen: torch.Tensor, confidence: float) -> Projection:
    """Return a projection that shows pixels where they are seen."""
    return Projection(
        torch.where(seen[..., None], image, 0),
        torch.where(seen, depth, torch.nan),
        seen,
        torch.where(seen, 7, -1),
        torch.where(seen, confidence, 0.0),
    )


@pytest.mark.parametrize("hole", [np.s_[20, 20], np.s_[20:24, 30:34], np.s_[10:50, 40], np.s_[30, 5:70]])
def test_a_hole_on_a_surface_gets_its_colours_and_depth_and_is_marked(hole) -> None:
    whole, closed = shown(), close_small_holes(shown(hole), CAMERA)
    assert closed.seen.all()
    assert torch.allclose(closed.depth, whole.depth, rtol=1e-4)
    assert (closed.image.int() - whole.image.int()).abs().max() <= 1
    assert (closed.confidence[hole] == CLOSED_CONFIDENCE).all()
    assert (closed.ids == 7).all()


def test_what_is_shown_stays_bit_by_bit_and_the_argument_too() -> None:
    holey = shown(np.s_[20, 20], np.s_[30, 10:60])
    copy = [each.clone() for each in maps(holey)]
    closed = close_small_holes(holey, CAMERA)
    assert not equal(closed.depth, holey.depth)
    seen = copy[2]
    for now, before, given in zip(maps(closed), copy, maps(holey), strict=True):
        assert torch.equal(now[seen], before[seen])
        assert equal(given, before)


def test_large_holes_and_their_ragged_borders_stay() -> None:
    ragged = [np.s_[20:40, 20:40], np.s_[25, 18:20], np.s_[30, 40:42], np.s_[19, 30]]
    holey = shown(*ragged, np.s_[50, 60])
    closed = close_small_holes(holey, CAMERA)
    assert closed.seen[50, 60]
    closed.seen[50, 60] = False
    assert torch.equal(closed.seen, holey.seen)


def test_a_hole_between_two_surfaces_stays() -> None:
    depth = torch.full(CAMERA.size, 1.0)
    depth[:, 40:] = 4.0
    holey = shown(np.s_[10:50, 39:41], np.s_[5, 40], depth=depth)
    assert torch.equal(close_small_holes(holey, CAMERA).seen, holey.seen)


def test_what_is_shown_without_depth_is_no_end() -> None:
    depth = DEPTH.clone()
    depth[:, :19], depth[:19], depth[22:] = torch.nan, torch.nan, torch.nan
    holey = shown(np.s_[20, 19], depth=depth)
    assert not close_small_holes(holey, CAMERA).seen[20, 19]


def test_nothing_is_shown_or_everything() -> None:
    for holes in ((), (np.s_[:],)):
        closed = close_small_holes(shown(*holes), CAMERA)
        assert all(equal(now, before) for now, before in zip(maps(closed), maps(shown(*holes)), strict=True))


def test_scattered_cracks_of_a_room_close_to_what_is_there() -> None:
    view = box_view(CAMERA, orbit(8)[0], panel=True)
    seen = torch.rand(CAMERA.size, generator=torch.Generator().manual_seed(0)) > 0.1
    holey = projection(view.image, view.depth, seen, 1.0)
    closed = close_small_holes(holey, CAMERA)
    new = closed.seen & ~seen
    assert new.sum() > 0.8 * (~seen).sum()
    assert ((closed.depth / view.depth - 1).abs()[new] < 0.05).float().mean() > 0.98
    assert (closed.image.float() - view.image.float()).abs()[new].mean() < 5


def test_the_compiled_code_closes_the_same(both) -> None:
    view = box_view(CAMERA, orbit(8)[0], panel=True)
    g = torch.Generator().manual_seed(1)
    near = torch.nn.functional.max_pool2d((torch.rand(1, *CAMERA.size, generator=g) > 0.995).float(), 15, 1, 7)[0] > 0
    chance = torch.rand(CAMERA.size, generator=g)
    seen = torch.where(near, chance > 0.5, chance > 0.05)
    holey = projection(view.image, torch.where(chance > 0.98, torch.nan, view.depth), seen, 1.0)
    holey = replace(holey, ids=torch.where(seen, torch.arange(seen.numel()).view(seen.shape), -1))
    one, other = both(lambda: close_small_holes(holey, CAMERA))
    for ours, theirs in zip(maps(one)[2:], maps(other)[2:], strict=True):
        assert torch.equal(ours, theirs)
    assert torch.allclose(one.depth, other.depth, rtol=1e-5, equal_nan=True)
    assert (one.image.int() - other.image.int()).abs().max() <= 1
    assert 100 < (one.seen & ~seen).sum() < (~seen).sum()
