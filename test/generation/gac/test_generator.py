"""The engine ``gac`` in worlds: depth that it draws, seeds, undo, cancel, cost, options."""

import dataclasses
import gc

import pytest
import torch

from comparisons import differences, equal, snapshot
from rooms import box_view, orbit
from tiny_gac import tiny_gac
from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.gac import GacGenerator
from vmem_ros.generation.vmem.pipeline_folder import write_pipeline
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.types import Recall, Target
from vmem_ros.world import World, default_world

CAMERA = Camera.from_fov(40, 30, 80)  # drawn at 40 x 32
POSES = orbit(24)
TARGETS = [Target(CAMERA, T, stamp_ns=n) for n, T in enumerate(POSES[1:6], 1)]


@pytest.fixture(scope="module")
def generator() -> GacGenerator:
    return GacGenerator(tiny_gac())


@pytest.fixture
def world(generator) -> World:
    out = default_world(generator)
    out.seed(box_view(CAMERA, POSES[0]))
    return out


def test_a_world_explores_with_it_and_believes_its_depth_only_where_memory_agrees(world) -> None:
    frames = list(world.explore(TARGETS[:2], seed=3))
    assert len(world) == 3
    for frame in frames:
        assert frame.view.source == "generated"
        assert frame.view.depth is not None
        shown = frame.projection.seen & torch.isfinite(frame.projection.depth)
        # The depth of a network that knows nothing does not move what is remembered.
        assert torch.isfinite(frame.view.depth).any()
        same = torch.isclose(frame.view.depth, frame.projection.depth) & shown
        assert float(same.sum()) > 0


def test_equal_seeds_give_equal_worlds_and_others_do_not(generator) -> None:
    worlds = []
    for seed in (3, 3, 4):
        world = default_world(generator)
        world.seed(box_view(CAMERA, POSES[0]))
        worlds.append([frame.view.image for frame in world.explore(TARGETS[:3], seed=seed)])
    assert all(torch.equal(a, b) for a, b in zip(worlds[0], worlds[1], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(worlds[0], worlds[2], strict=True))


def test_undo_takes_back_what_it_drew(world) -> None:
    before = snapshot(world.memory, votes=False)
    list(world.explore(TARGETS[:2], seed=1))
    world.undo()
    assert differences(snapshot(world.memory, votes=False), before) == []


def test_saved_loaded_and_branched_it_goes_on_with_the_same_views(world, generator, tmp_path) -> None:
    list(world.explore(TARGETS[:2], seed=1))
    world.save(tmp_path / "world.vmem")
    loaded, branch = default_world(generator), world.branch()
    loaded.load(tmp_path / "world.vmem")
    expected = [frame.view for frame in world.explore(TARGETS[2:4], seed=2)]
    for other in (loaded, branch):
        for view, frame in zip(expected, other.explore(TARGETS[2:4], seed=2), strict=True):
            assert torch.equal(frame.view.image, view.image)
            assert equal(frame.view.depth, view.depth)


def test_cancelled_between_steps_the_world_is_as_it_was(world) -> None:
    before, steps = snapshot(world.memory, votes=False), []
    with pytest.raises(CancelledError, match="cancelled after denoising step 3 of 8"):
        list(world.explore(TARGETS[:2], seed=1, on_progress=steps.append, should_stop=lambda: len(steps) >= 3))
    assert [(p.step, p.steps) for p in steps] == [(1, 8), (2, 8), (3, 8)]
    assert differences(snapshot(world.memory, votes=False), before) == []


def test_depth_of_the_views_it_is_given_matters(generator) -> None:
    view = box_view(CAMERA, POSES[0])
    images = []
    for depth in (view.depth, view.depth * 2, None):
        recall = Recall((dataclasses.replace(view, depth=depth),), torch.ones(1, dtype=torch.float64), (0,))
        images.append(generator.generate(recall, TARGETS[:1], seed=1)[0].image)
    assert not torch.equal(images[0], images[1])
    assert not torch.equal(images[0], images[2])


def test_newest_views_are_in_the_context_too(generator) -> None:
    far, near = box_view(CAMERA, POSES[12]), box_view(CAMERA, POSES[1])
    recall = Recall((far,), torch.ones(1, dtype=torch.float64), (0,))
    with_newest = dataclasses.replace(recall, newest=(near,))
    without, with_one = (generator.generate(r, TARGETS[:1], seed=1)[0].image for r in (recall, with_newest))
    assert not torch.equal(without, with_one)


def tokens_seen(generator: GacGenerator, memory, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many tokens the network computes for a chunk, and checks that it looks back at a bounded number."""
    counts = []
    decode = type(generator.pipeline.transformer).decode

    def counted(self, features, rays, positions, **options):
        counts.append(features.shape[1])
        return decode(self, features, rays, positions, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(generator.pipeline.transformer), "decode", counted)
        generator.generate(memory.read(TARGETS[:2], 4), TARGETS[:2], seed=1)
    return sum(counts)


def test_the_network_computes_no_more_after_many_views_than_after_few(generator, monkeypatch) -> None:
    world = World(load_memory(), generator, default_world().estimator)
    for T in orbit(60)[:8]:
        world.observe(box_view(CAMERA, T))
    few = tokens_seen(generator, world.memory, monkeypatch)
    for T in orbit(60)[8:60]:
        world.observe(box_view(CAMERA, T))
    assert tokens_seen(generator, world.memory, monkeypatch) == few


def test_what_is_remembered_is_encoded_once_and_forgotten_with_the_memory(monkeypatch) -> None:
    generator = GacGenerator(tiny_gac())
    encoded = []
    encode = type(generator.pipeline).encode_image
    monkeypatch.setattr(type(generator.pipeline), "encode_image", lambda *a: encoded.append(1) or encode(*a))
    view = box_view(CAMERA, POSES[0])
    recall = Recall((view,), torch.ones(1, dtype=torch.float64), (0,), newest=(view,))
    for _ in range(2):
        generator.generate(recall, TARGETS[:1], seed=1)
    assert len(encoded) == 1
    assert len(generator._encodings) == 2
    del view, recall
    gc.collect()
    assert len(generator._encodings) == 0


def test_larger_views_than_the_model_draws_are_enlarged_and_said_so() -> None:
    generator = GacGenerator(tiny_gac(), max_side=24)
    recall = Recall((box_view(CAMERA, POSES[0]),), torch.ones(1, dtype=torch.float64), (0,))
    (view,) = generator.generate(recall, TARGETS[:1], seed=1)
    assert view.depth.shape == view.image.shape[:2] == (30, 40)
    assert generator.notes() == ("views of 40 x 30 are drawn at 24 x 16 and enlarged (max_side is 24)",)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gac") / "model"
    write_pipeline(tiny_gac(), folder)
    return folder


class TestOptions:
    """Of the engine by name."""

    def test_they_reach_it(self, model) -> None:
        generator = load_generator(
            "gac", model=model, context=1, sampling={"num_inference_steps": 1}, geometry=False, context_rule="crossings"
        )
        steps: list[tuple[int, int]] = []
        world = default_world(generator)
        world.seed(box_view(CAMERA, POSES[0]))
        (frame,) = world.explore(TARGETS[:1], on_progress=lambda p: steps.append((p.step, p.steps)))
        assert steps == [(1, 1)]
        assert frame.view.image.shape == (30, 40, 3)

    @pytest.mark.parametrize("dtype", ["bfloat16", "auto"])
    def test_numbers_of_other_types(self, model, dtype) -> None:
        generator = load_generator("gac", model=model, dtype=dtype)
        assert generator.pipeline.transformer.dtype == (torch.float32 if dtype == "auto" else torch.bfloat16)
        recall = Recall((box_view(CAMERA, POSES[0]),), torch.ones(1, dtype=torch.float64), (0,))
        (view,) = generator.generate(recall, TARGETS[:1], seed=1)
        (expected,) = GacGenerator(tiny_gac()).generate(recall, TARGETS[:1], seed=1)
        assert float((view.image.float() - expected.image.float()).abs().mean()) < 8

    def test_sampling_may_change_from_call_to_call(self, model) -> None:
        asked = {"num_inference_steps": 1}
        generator = load_generator("gac", model=model, sampling=lambda: asked)
        recall = Recall((box_view(CAMERA, POSES[0]),), torch.ones(1, dtype=torch.float64), (0,))
        totals: list[int] = []
        for steps in (1, 3):
            asked["num_inference_steps"] = steps
            generator.generate(recall, TARGETS[:1], seed=1, on_step=lambda _, total: totals.append(total))
        assert set(totals) == {3, 5}
        asked["num_inference_steps"] = -1
        with pytest.raises(ModelError, match="must be a whole number of 1 or more, got -1"):
            generator.generate(recall, TARGETS[:1], seed=1)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"sampling": {"geometry_steps": 0}},
                r"sampling\.geometry_steps must be a whole number of 1 or more, got 0",
            ),
            ({"sampling": {"guidance_scale": 2.0}}, "sampling has no guidance_scale: it has num_inference_steps, geom"),
            ({"context": 1.5}, "context must be a whole number"),
            ({"context_rule": "nearest"}, "context_rule must be one of volume, crossings"),
            ({"dtype": "int8"}, "dtype must be one of"),
            ({"guidance": 2}, "has no option guidance: it has model"),
            ({"max_side": 4}, "max_side must be at least 8"),
            ({"model": "/nowhere/at/all"}, "there is no pipeline folder"),
        ],
    )
    def test_what_is_refused(self, model, options, message) -> None:
        with pytest.raises(ModelError, match=message):
            load_generator("gac", **{"model": model, **options})
