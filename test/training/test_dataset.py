"""Walks through houses as memory sees them, on disk, and drawn as sets of views."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training_runs import DATA
from vmem_ros.errors import TrainingDataError
from vmem_ros.generation.vmem.autoencoding import encode, pixels
from vmem_ros.generation.vmem.patch_autoencoder import PatchAutoencoder
from vmem_ros.geometry.hole_filling import fill_holes
from vmem_ros.scenes import EVALUATION_SEEDS, TRAINING_SEEDS, House
from vmem_ros.training.data.cache import Cache, cache_folder
from vmem_ros.training.data.house_walks import ViewWalk, ViewWalkFactory
from vmem_ros.training.data.latent_walks import EncodedWalk, Encoder
from vmem_ros.training.data.view_sets import ViewSetSampler
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.data import Data
from vmem_ros.training.recipes.denoising import Conditions

DATA_RECIPE = Data(**DATA)


def with_data(**fields) -> ViewWalkFactory:
    return ViewWalkFactory(Data(**DATA | fields))


@pytest.fixture(scope="module")
def maker():
    return ViewWalkFactory(DATA_RECIPE)


@pytest.fixture(scope="module")
def walk(maker):
    return maker.make(1)


@pytest.fixture(scope="module")
def vae():
    torch.manual_seed(0)
    return PatchAutoencoder(patch=4, latent_channels=4, widths=(16, 16), blocks=(1, 1))


@pytest.fixture(scope="module")
def encoded(walk, vae):
    return Encoder(vae).encode(walk)


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


def test_equal_numbers_make_equal_walks_and_others_do_not(maker, walk):
    again, other = maker.make(1), maker.make(2)
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in walk.tensors().items())
    assert not torch.equal(walk.images, other.images)


def test_a_walk_shows_the_house_from_its_poses(walk):
    truth = House(TRAINING_SEEDS[0]).render((walk.camera, walk.poses[5])).image
    assert torch.equal(walk.images[5], truth)
    assert len(walk.images) == 1 + DATA_RECIPE.chunks * DATA_RECIPE.chunk


def test_memory_shows_and_recalls_only_what_was_before(walk):
    assert not walk.shown[~walk.seen].any()
    for chunk, recalled in enumerate(walk.recalled):
        known = recalled[recalled >= 0]
        assert len(known) >= 1
        assert bool(((walk.written[known] >= 0) & (walk.written[known] <= chunk)).all())
        assert int(known.max()) < 1 + chunk * DATA_RECIPE.chunk
    # What is remembered resembles the truth where it is seen.
    error = (walk.shown.float() - walk.images[1:].float()).abs().mean(dim=-1)
    assert float(error[walk.seen].mean()) < 0.5 * float((walk.images[1:].float() - 127).abs().mean())


def test_a_forgetful_walk_keeps_only_its_first_view():
    forgetful = with_data(remembered=[0.0, 0.0]).make(1)
    assert forgetful.written.tolist() == [0] + [-1] * 16
    assert forgetful.recalled[:, 1:].eq(-1).all()


def test_training_and_evaluation_walk_through_different_houses():
    assert not set(TRAINING_SEEDS) & set(EVALUATION_SEEDS)
    evaluation = ViewWalkFactory(Data(**DATA | {"walks_per_house": 1}), houses=EVALUATION_SEEDS).make(0)
    truth = House(EVALUATION_SEEDS[0]).render((evaluation.camera, evaluation.poses[0])).image
    assert torch.equal(evaluation.images[0], truth)


def test_walks_by_day_and_in_the_evening_are_kept_apart(tmp_path):
    evening = Data(time_of_day="evening")
    assert cache_folder(tmp_path, "walks", evening) != cache_folder(tmp_path, "walks", Data())
    day, dark = (ViewWalkFactory(Data(**DATA | {"time_of_day": time})).make(0) for time in ("day", "evening"))
    assert torch.equal(day.poses, dark.poses)
    assert float(dark.images.float().mean()) < 0.9 * float(day.images.float().mean())


def test_imperfect_views_are_remembered_worse(walk):
    perfect, imperfect = (ViewWalkFactory(Data(**DATA | {"imperfect": share})).make(1) for share in (0.0, 1.0))

    def error(made: ViewWalk) -> float:
        difference = (made.shown.float() - made.images[1:].float()).abs().mean(dim=-1)
        return float(difference[made.seen].mean())

    assert error(imperfect) > 1.2 * error(perfect)


def test_what_is_cached_is_read_and_not_made_again(walk, tmp_path):
    made = []

    def make(number: int) -> ViewWalk:
        made.append(number)
        return walk

    cache = Cache(tmp_path, make, ViewWalk)
    cache.get(3)
    again = cache.get(3)
    assert made == [3]
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in walk.tensors().items())
    # A file that was cut short is made again.
    path = cache.path(3)
    path.write_bytes(path.read_bytes()[:1000])
    assert torch.equal(cache.get(3).images, walk.images)
    cache.get(8)
    cache.forget_before(8)
    assert [path.stem for path in sorted(tmp_path.iterdir())] == ["0000008"]


def test_a_cache_that_cannot_be_written_says_so(walk, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    with pytest.raises(TrainingDataError, match="choose another --cache"):
        Cache(blocked / "walks", lambda number: walk, ViewWalk).get(0)


def test_what_a_walk_is_names_its_folder():
    root = Path("/cache")
    assert cache_folder(root, "walks", DATA_RECIPE) == cache_folder(
        root, "walks", Data(**DATA | {"workers": 3, "window": 7})
    )
    assert cache_folder(root, "walks", DATA_RECIPE) != cache_folder(root, "walks", Data(**DATA | {"imperfect": 0.1}))


def test_the_window_moves_on(encoded, tmp_path):
    data = Data(**DATA | {"first_walks": 3, "samples_per_walk": 10, "window": 4})
    walks = _OneWalk(encoded, tmp_path, data)
    assert [walks.window(n) for n in (0, 9, 10, 35)] == [range(3), range(3), range(4), range(2, 6)]


def test_encoded_walks_hold_what_the_pipeline_would_compute(walk, encoded, vae):
    with torch.no_grad():
        views = encode(vae, pixels(list(walk.images)))
    assert torch.allclose(encoded.latents.float(), views, atol=1e-2)
    share = torch.nn.functional.avg_pool2d(walk.seen[:, None].float(), 4)
    assert torch.allclose(encoded.shown[:, 4:].float(), share, atol=1e-3)
    holes_filled = fill_holes(pixels(list(walk.shown)), walk.seen)
    with torch.no_grad():
        assert torch.allclose(encoded.shown[:, :4].float(), encode(vae, holes_filled), atol=1e-2)
        nothing = encode(vae, torch.zeros(1, 3, *walk.images.shape[1:3]))[0]
    assert torch.allclose(encoded.nothing.float(), nothing, atol=1e-2)


def test_the_digest_is_that_of_what_encodes(vae):
    before = Encoder(vae).digest
    restored = vae.restorer[0].weight.detach().clone()
    with torch.no_grad():
        vae.restorer[0].weight.add_(1)
        assert Encoder(vae).digest == before
        vae.restorer[0].weight.copy_(restored)
        vae.encoder.weight.mul_(2)
        assert Encoder(vae).digest != before
        vae.encoder.weight.div_(2)
    assert Encoder(vae).digest == before


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
