"""Sets of views, drawn from walks."""

import numpy as np
import torch

from training_runs import DATA
from vmem_ros.training.data.cache import Cache
from vmem_ros.training.data.latent_walks import EncodedWalk
from vmem_ros.training.data.view_sets import ViewSetSampler
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.data import Data
from vmem_ros.training.recipes.denoising import Conditions

DATA_RECIPE = Data(**DATA)


class _OneWalk(WalkStream):
    """Walks that are all the same one."""

    def __init__(self, walk, tmp_path, data=DATA_RECIPE):
        super().__init__(lambda: [Cache(tmp_path / "walks", lambda number: walk, EncodedWalk)], data)


def sampler(encoded, tmp_path, **conditions):
    options = {"drop_all": 0.0, "drop_projection": 0.0, "noise": 0.0, "blur": 0.0, "few_references": 0.0}
    return ViewSetSampler(
        _OneWalk(encoded, tmp_path),
        Conditions(**{**options, **conditions}),
        chunk=DATA_RECIPE.chunk,
        context_dim=8,
        projection=True,
        seed=0,
    )


def test_equal_numbers_draw_equal_batches(encoded, tmp_path):
    draw = sampler(encoded, tmp_path, noise=0.2, blur=0.5)
    a, b, c = draw.batch(4, 2), draw.batch(4, 2), draw.batch(6, 2)
    assert torch.equal(a.clean, b.clean)
    assert torch.equal(a.conditioning.latents, b.conditioning.latents)
    assert not torch.equal(a.conditioning.latents, c.conditioning.latents)


def test_a_set_has_references_then_targets_of_one_chunk(encoded, tmp_path):
    batch = sampler(encoded, tmp_path).batch(0, 3)
    assert batch.clean.shape == (24, 4, 8, 8)
    given = batch.conditioning.given.view(3, 8)
    assert given.tolist() == [[True] * 4 + [False] * 4] * 3
    assert torch.equal(batch.conditioning.latents[batch.conditioning.given], batch.clean[batch.conditioning.given])
    assert not batch.conditioning.latents[~batch.conditioning.given].any()
    # References show themselves completely; targets show what memory did.
    projection = batch.conditioning.projection.view(3, 8, 5, 8, 8)
    assert projection[:, :4, 4].eq(1).all()
    shown = encoded.shown.float()
    assert all(any(torch.equal(frame, other) for other in shown) for frame in projection[:, 4:].flatten(0, 1))


def test_fewer_references_leave_targets_that_repeat(encoded, tmp_path):
    draw = sampler(encoded, tmp_path, few_references=1.0)
    counts = set()
    for first in range(0, 40, 2):
        batch = draw.batch(first, 1)
        references = int(batch.conditioning.given.sum())
        counts.add(references)
        assert torch.equal(batch.clean[references + 3], batch.clean[-1])
    assert counts == {1, 2, 3, 4}


def test_what_is_dropped_is_gone(encoded, tmp_path):
    nothing = sampler(encoded, tmp_path, drop_all=1.0).batch(0, 2).conditioning
    assert not nothing.given.any()
    assert not nothing.latents.any()
    assert not nothing.projection.any()
    assert nothing.plucker.any()
    blind = sampler(encoded, tmp_path, drop_projection=1.0).batch(0, 2).conditioning
    targets = blind.projection[~blind.given]
    assert torch.equal(targets[:, :4], encoded.nothing.float().expand_as(targets[:, :4]))
    assert not targets[:, 4].any()
    assert blind.projection[blind.given][:, 4].eq(1).all()


def test_references_are_recalled_ones_or_others(encoded, tmp_path):
    def share_recalled(recalled: float) -> float:
        draw = sampler(encoded, tmp_path / str(recalled), recalled=recalled)
        hits = []
        for first in range(20):
            batch = draw.batch(first, 1)
            views = encoded.latents.float()
            which = [next(i for i, v in enumerate(views) if torch.equal(v, frame)) for frame in batch.clean]
            chunk = (which[4] - 1) // DATA_RECIPE.chunk
            hits.append(np.mean([i in encoded.recalled[chunk].tolist() for i in which[:4]]))
        return float(np.mean(hits))

    assert share_recalled(1.0) == 1.0
    assert share_recalled(0.0) < 0.95
