"""Clips for the networks of Spatia and Mirage: what they are told in training is what the engines tell them in use."""

from itertools import islice

import pytest
import torch

from training_runs import DATA
from vmem_ros.generation.mirage import MirageGenerator
from vmem_ros.generation.wan import SceneWanPipeline, SceneWanTransformer3DModel, SpatiaGenerator
from vmem_ros.generation.wan import pipeline as pipeline_module
from vmem_ros.generation.wan.schedules import euler_scheduler
from vmem_ros.training.data.cache import Cache
from vmem_ros.training.data.clip_walks import EncodedClipWalk, LatentWalkEncoder, PointWalkEncoder
from vmem_ros.training.data.clips import ClipSampler
from vmem_ros.training.data.geometry_walks import GeometryWalkFactory
from vmem_ros.training.data.house_walks import ViewWalkFactory
from vmem_ros.training.data.references import remembered_before
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.clips import Clips
from vmem_ros.training.recipes.data import Data
from vmem_ros.types import Target

DATA_RECIPE = Data(**DATA)
PERFECT = DATA_RECIPE.model_copy(update={"imperfect": 0.0})
ENCODERS = {"spatia": PointWalkEncoder, "mirage": LatentWalkEncoder}
# Known views that a continued clip begins with, and those before it.
BEFORE = {"spatia": (2, 0), "mirage": (1, 2)}
BOTH = pytest.mark.parametrize("engine", list(ENCODERS))
PLAIN = {"continued": 1.0, "few_references": 0.0, "recalled": 1.0, "drop_scene": 0.0, "noise": 0.0, "blur": 0.0}


@pytest.fixture(scope="module")
def geometry_walk():
    return GeometryWalkFactory(DATA_RECIPE).make(1)


@pytest.fixture(scope="module")
def encoded_walks(geometry_walk, vae):
    return {engine: encoder(vae, PERFECT).encode(geometry_walk) for engine, encoder in ENCODERS.items()}


def sampler(walk, tmp_path, engine, **clips):
    history, preceding = BEFORE[engine]
    stream = WalkStream(lambda: [Cache(tmp_path / "walks", lambda number: walk, EncodedClipWalk)], DATA_RECIPE)
    how = Clips(**{**PLAIN, **clips})
    return ClipSampler(stream, how, chunk=DATA_RECIPE.chunk, history=history, preceding=preceding, seed=0)


def engine_of(engine, vae):
    channels = vae.config.latent_channels
    network = SceneWanTransformer3DModel(
        num_attention_heads=1, attention_head_dim=12, in_channels=channels, out_channels=channels, text_dim=8,
        ffn_dim=16, num_layers=1, vace_layers=[0], vace_in_channels=2 * channels,
    )  # fmt: skip
    history = BEFORE[engine][0]
    rounds = {"first": 5, "later": history + 4, "history": history}
    sampling = {"num_inference_steps": 1, "guidance_scale": 1.0}
    pipeline = SceneWanPipeline(
        network, vae, euler_scheduler(), rounds=rounds, sampling=sampling, max_references=3, max_side=32
    )
    return (SpatiaGenerator if engine == "spatia" else MirageGenerator)(pipeline)


@BOTH
def test_it_is_told_what_the_engine_tells_it_in_use(engine, vae, geometry_walk, encoded_walks, tmp_path, monkeypatch):
    told = []
    real = pipeline_module.sample_round

    def listening(network, scheduler, noise, conditioning, **options):
        told.append(conditioning)
        return real(network, scheduler, noise, conditioning, **options)

    monkeypatch.setattr(pipeline_module, "sample_round", listening)
    # The walk is remembered whole, so any chunk but the first goes on from the one before.
    clip = sampler(encoded_walks[engine], tmp_path, engine).batch(0, 1)
    walk, first = encoded_walks[engine], None
    for chunk in range(1, DATA_RECIPE.chunks):
        if torch.equal(walk.latents[1 + 4 * chunk].float(), clip.clean[0, :, clip.known]):
            first = 1 + 4 * chunk
    assert first is not None, "the clip draws a chunk of the walk"
    recall = next(islice(ENCODERS[engine](vae, PERFECT).remembered(geometry_walk).readings(), first // 4, None))
    targets = [Target(geometry_walk.camera, geometry_walk.poses[i]) for i in range(first, first + 4)]
    engine_of(engine, vae).generate(recall, targets, seed=0)

    (used,) = told
    close = {"atol": 2e-3, "rtol": 2e-3}  # walks are kept in float16
    torch.testing.assert_close(clip.told.control, used.control, **close)
    torch.testing.assert_close(clip.told.history, used.history, **close)
    assert (clip.told.preceding is None) == (used.preceding is None)
    if used.preceding is not None:
        torch.testing.assert_close(clip.told.preceding, used.preceding, **close)
    # It sees at most as many references, for those that are in the clip are left out; training fills up.
    count = used.references.shape[2]
    assert 1 <= count <= 3
    torch.testing.assert_close(clip.told.references[:, :, :count], used.references, **close)


@BOTH
def test_walks_of_networks_are_those_of_all_others(engine, geometry_walk, encoded_walks):
    others = ViewWalkFactory(DATA_RECIPE).make(1)
    assert torch.equal(geometry_walk.images, others.images)
    assert torch.equal(encoded_walks[engine].poses, others.poses)
    assert torch.equal(encoded_walks[engine].written, others.written)


@BOTH
def test_equal_numbers_draw_equal_clips(engine, encoded_walks, tmp_path):
    draw = sampler(encoded_walks[engine], tmp_path, engine, continued=0.5, noise=0.2, blur=0.5, few_references=0.5)
    layouts = set()
    for number in range(12):
        a, b = draw.batch(number, 1), draw.batch(number, 1)
        assert torch.equal(a.clean, b.clean)
        assert torch.equal(a.told.control, b.told.control)
        preceding = 0 if a.told.preceding is None else a.told.preceding.shape[2]
        assert a.told.control.shape[2] == a.clean.shape[2] + preceding == a.known + 4 + preceding
        assert torch.equal(a.told.history, a.clean[:, :, : a.known])
        layouts.add((a.known, a.told.references.shape[2], preceding))
    history, preceding = BEFORE[engine]
    assert {(known, before) for known, _, before in layouts} == {(1, 0), (history, preceding)}
    assert {references for _, references, _ in layouts} == {1, 2, 3}


@BOTH
def test_what_is_disturbed_and_what_is_left_out(engine, encoded_walks, tmp_path):
    walk = encoded_walks[engine]
    plain = sampler(walk, tmp_path, engine).batch(0, 1)
    noisy = sampler(walk, tmp_path, engine, noise=0.5).batch(0, 1)
    assert not torch.equal(plain.told.references, noisy.told.references)
    assert torch.equal(plain.clean[:, :, plain.known :], noisy.clean[:, :, noisy.known :]), "targets are true"
    channels = plain.clean.shape[1]
    assert torch.equal(plain.told.control[:, channels:], noisy.told.control[:, channels:]), "so is what is missing"
    if engine == "mirage":
        nothing = (plain.told.control[:, :channels] == 0).all(dim=1)
        assert nothing.any()
        assert torch.equal((noisy.told.control[:, :channels] == 0).all(dim=1), nothing)
    blind = (
        sampler(walk, tmp_path, engine, drop_scene=1.0).batch(0, 1).told.control[0, :, plain.known : plain.known + 4]
    )
    assert torch.equal(blind, walk.nothing.float()[:, None].expand_as(blind))


@BOTH
def test_a_walk_that_remembers_little_still_gives_clips(engine, vae, geometry_walk, tmp_path):
    forgetful = PERFECT.model_copy(update={"remembered": (0.0, 0.0)})
    walk = ENCODERS[engine](vae, forgetful).encode(geometry_walk)
    assert remembered_before(walk, DATA_RECIPE.chunks - 1).tolist() == [0]
    batch = sampler(walk, tmp_path, engine).batch(0, 2)
    first = walk.latents[0].float()
    assert all(torch.equal(frame, first) for frame in batch.told.references[0].unbind(1))
