"""Details that are lent: only where nothing is known, by what fits, and as the seed says."""

from __future__ import annotations

import pytest
import torch

from vmem_ros.generation.exemplars import ExemplarLibrary, lend_details
from vmem_ros.generation.exemplars.choice import choose
from vmem_ros.types import Projection

SIDE = 64


def projection(image: torch.Tensor, seen: torch.Tensor) -> Projection:
    """Return what a memory shows that knows some pixels of an image."""
    return Projection(
        image=torch.where(seen[..., None], image, 0),
        depth=torch.where(seen, 2.0, torch.nan),
        seen=seen,
        ids=torch.where(seen, 0, -1),
        confidence=seen.float(),
    )


def half_seen(height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    """Return [H, W] bool: the left half."""
    seen = torch.zeros(height, width, dtype=torch.bool)
    seen[:, : width // 2] = True
    return seen


def gray(value: int, height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    """Return a picture [H, W, 3] uint8 of one gray."""
    return torch.full((height, width, 3), value, dtype=torch.uint8)


def split(left: int, right: int, *, stripes: int = 0) -> torch.Tensor:
    """Return a picture of two grays, the right one with stripes."""
    picture = gray(left).clone()
    picture[:, SIDE // 2 :] = right
    picture[:, SIDE // 2 :: 4] += stripes
    return picture


def generator(seed: int = 0) -> torch.Generator:
    """Return random numbers."""
    return torch.Generator().manual_seed(seed)


def energy(image: torch.Tensor) -> float:
    """Return the mean squared difference of neighbouring columns."""
    return float(image.float().diff(dim=1).square().mean())


def test_details_come_where_nothing_is_known() -> None:
    library = ExemplarLibrary.of([split(100, 100, stripes=60)], quality=95)
    lent = lend_details(gray(100), projection(gray(100), half_seen()), library, generator())
    assert (lent.shape, lent.dtype) == ((SIDE, SIDE, 3), torch.uint8)
    assert torch.equal(lent[:, : SIDE // 2], gray(100)[:, : SIDE // 2])
    assert energy(lent[:, SIDE // 2 + 8 :]) > 100
    # Colours stay those that were drawn.
    assert lent[:, SIDE // 2 + 8 :].float().mean() == pytest.approx(100, abs=4)


def test_what_is_known_stays() -> None:
    library = ExemplarLibrary.of([split(100, 100, stripes=60)])
    drawn = gray(90)
    everything = torch.ones(SIDE, SIDE, dtype=torch.bool)
    assert lend_details(drawn, projection(drawn, everything), library, generator()) is drawn


def test_a_picture_that_fits_is_chosen() -> None:
    # As many fit as are looked at, half of them mirrored.
    fit = [split(20, 220, stripes=i) for i in range(40)] + [split(220, 20, stripes=0) for _ in range(40)]
    library = ExemplarLibrary.of([*fit, *[split(128, 128, stripes=90)] * 80])
    likely = split(20, 220).permute(2, 0, 1).float() / 255
    for seed in range(9):
        chosen = choose(likely, (~half_seen()).float(), library, generator(seed))
        assert chosen is not None
        assert chosen.number < len(fit)
        assert chosen.mirrored == (chosen.number >= 40)
        # Of those that fit, one with more details than most.
        assert chosen.number > 12


def test_where_no_picture_fits_the_image_stays() -> None:
    elsewhere = ExemplarLibrary.of([split(100, 100, stripes=60)] * 3)
    known = gray(100).clone()
    known[::2, ::2], known[SIDE // 2 :] = 20, 255
    assert lend_details(known, projection(known, half_seen()), elsewhere, generator()) is known
    with_one_of_here = ExemplarLibrary.of([split(100, 100, stripes=60), known])
    assert lend_details(known, projection(known, half_seen()), with_one_of_here, generator()) is not known
    # Of what is not known at all, nothing can be out of place.
    nothing = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    assert lend_details(known, projection(known, nothing), elsewhere, generator()) is not known


def test_seeds_find_other_pictures() -> None:
    library = ExemplarLibrary.of([split(100, 100, stripes=i) for i in range(10, 90)])
    shown = projection(gray(100), half_seen())
    lent = [lend_details(gray(100), shown, library, generator(seed)) for seed in (0, 0, 1, 2, 3, 4)]
    assert torch.equal(lent[0], lent[1])
    assert any(not torch.equal(lent[0], other) for other in lent[2:])


@pytest.mark.parametrize("size", [(40, 64), (90, 60), (128, 128)])
def test_any_size(size: tuple[int, int]) -> None:
    library = ExemplarLibrary.of([split(100, 100, stripes=60)])
    lent = lend_details(gray(100, *size), projection(gray(100, *size), half_seen(*size)), library, generator())
    assert tuple(lent.shape) == (*size, 3)
    assert energy(lent[:, size[1] // 2 + 8 :]) > 20
