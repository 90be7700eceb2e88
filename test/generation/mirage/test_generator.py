"""Mirage's generator between a world with a memory of latents and a pipeline, with small networks."""

import dataclasses

import pytest
import torch

from memory_subject import write
from rooms import box_view
from vmem_ros.errors import ModelError
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.mirage import MirageGenerator
from vmem_ros.generation.wan import SceneWanPipeline
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Recall, Target, View
from vmem_ros.world import World
from wan_pipelines import picture_pipeline, video_pipeline

CAMERA = Camera.from_fov(64, 32, 80)
#: (C, h, w) of latents of the small autoencoder of pictures, and of that of videos.
OF_PICTURES, OF_VIDEOS = (8, 4, 8), (8, 2, 4)


def pose(x: float) -> torch.Tensor:
    return look_at((x, 0, 0), (3, 0.2, 0))


def walk(count: int, start: float = -1.5) -> list[View]:
    return [box_view(CAMERA, pose(start + 0.1 * i), stamp_ns=i) for i in range(count)]


def targets(count: int, start: float = -1.5) -> list[Target]:
    return [Target(CAMERA, pose(start + 0.1 * i), stamp_ns=100 + i) for i in range(count)]


def with_latent(view: View, value: float, shape: tuple[int, int, int] = OF_PICTURES, **changes: object) -> View:
    return dataclasses.replace(view, latent=torch.full(shape, value), **changes)


def recalled(views: list[View], wanted: list[Target], newest: list[View], *, kind: str = "latent") -> Recall:
    """Return a recall with references and newest views of one's choice, and what a memory of both shows."""
    memory = load_memory(kind)
    for view in {id(view): view for view in (*views, *newest)}.values():
        write(memory, [view])
    found = memory.read(wanted, 1, record=False)
    weights = torch.ones(len(views), dtype=torch.float64) / max(1, len(views))
    return dataclasses.replace(
        found, views=tuple(views), weights=weights, indices=tuple(range(len(views))), newest=tuple(newest)
    )


def pictures(**options: object) -> SceneWanPipeline:
    return picture_pipeline(**{"rounds": {"first": 5, "later": 5, "history": 1}, **options})


@pytest.fixture(scope="module")
def pipeline() -> SceneWanPipeline:
    return pictures()


@pytest.fixture
def generator(pipeline: SceneWanPipeline) -> MirageGenerator:
    return MirageGenerator(pipeline)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict]:
    """What the pipeline is called with, pass by pass, and what it returns."""
    found, call = [], SceneWanPipeline.__call__

    def note(self, prompt=None, **options):
        found.append({"prompt": prompt, **options})
        found[-1]["output"] = call(self, prompt, **options)
        return found[-1]["output"]

    monkeypatch.setattr(SceneWanPipeline, "__call__", note)
    return found


def test_what_it_uses(generator: MirageGenerator) -> None:
    assert generator.uses == {"views", "projection", "features", "newest", "depth"}
    assert generator.frames == 4
    published = MirageGenerator(video_pipeline(rounds=None))
    assert published.frames == 32
    assert "prompt" in published.uses


class TestOneRound:
    def test_latents_are_kept_as_they_were_drawn(self, generator, calls) -> None:
        (start,) = walk(1)
        views = generator.generate(recalled([start], targets(4, -1.4), [start]), targets(4, -1.4), seed=0)
        drawn = calls[0]["output"].latents[0]
        assert drawn.shape == (8, 5, 4, 8)
        for number, view in enumerate(views):
            assert torch.equal(view.latent, drawn[:, number + 1])
            assert view.stamp_ns == 100 + number
            assert view.source == "generated"

    def test_it_goes_on_from_the_last_latents(self, generator, calls) -> None:
        views = [with_latent(view, float(i), source="generated") for i, view in enumerate(walk(4))]
        generator.generate(recalled(views[:1], targets(2, -1.1), views), targets(2, -1.1), seed=0)
        (call,) = calls
        assert (call["history_latents"] == 3).all()
        assert call["preceding_latents"].shape == (1, 8, 2, 4, 8)
        assert (call["preceding_latents"][0, :, 0] == 1).all()
        assert (call["preceding_latents"][0, :, 1] == 2).all()
        assert (call["reference_latents"] == 0).all()
        assert call["num_frames"] == 3
        assert call["control"].shape == (1, 16, 3 + 2, 4, 8)

    def test_what_the_network_sees_already_is_no_reference(self, generator, calls) -> None:
        views = [with_latent(view, float(i), source="generated") for i, view in enumerate(walk(4))]
        generator.generate(recalled(views[::-1], targets(1, -1.1), views), targets(1, -1.1), seed=0)
        assert calls[0]["reference_latents"].shape[2] == 1
        assert (calls[0]["reference_latents"] == 0).all()

    def test_a_picture_is_encoded_where_there_is_no_latent(self, generator, calls) -> None:
        (start,) = walk(1)
        wanted = targets(1, -1.4)
        generator.generate(recalled([], wanted, [start]), wanted, seed=0)
        other = dataclasses.replace(start, image=255 - start.image)
        generator.generate(recalled([], wanted, [other]), wanted, seed=0)
        one, two = (call["history_latents"] for call in calls)
        assert one.shape == (1, 8, 1, 4, 8)
        assert not torch.allclose(one, two)
        assert calls[0]["preceding_latents"] is None
        assert calls[0]["reference_latents"] is None

    def test_latents_of_another_size_are_not_taken(self, generator, calls) -> None:
        (start,) = walk(1)
        foreign = with_latent(start, 1.0, (8, 2, 2))
        wanted = targets(1, -1.4)
        generator.generate(recalled([], wanted, [foreign]), wanted, seed=0)
        generator.generate(recalled([], wanted, [start]), wanted, seed=0)
        assert torch.equal(calls[0]["history_latents"], calls[1]["history_latents"])


class TestScenes:
    """Channels 0 to 7 of the control are latents, 8 to 15 say where there are none."""

    def test_memory_tells(self, generator, calls) -> None:
        (start,) = walk(1)
        drawn = with_latent(start, 7.0, source="generated")
        wanted = targets(2, -0.9)
        found = recalled([drawn], wanted, [drawn])
        generator.generate(found, wanted, seed=0)
        control = calls[0]["control"][0]
        for frame, projection in enumerate(found.projections, 1):
            seen = projection.features_seen
            assert 0.2 < seen.float().mean() < 1
            assert (control[:8, frame][:, seen] == 7).all()
            assert not control[:8, frame][:, ~seen].any()
            assert torch.equal(control[8:, frame], (~seen).float().expand(8, -1, -1))
        assert (control[:8, 0] == 7).all(), "the frame that it goes on from shows itself"
        assert not control[8:, 0].any()

    @pytest.mark.parametrize("kind", ["latent", "surfel", "points"])
    def test_views_of_cameras_are_lifted_here(self, generator, calls, kind) -> None:
        """With whatever memory: what memory does not keep in latents comes from the recalled views."""
        views = walk(2)
        wanted = targets(2, -1.45)
        generator.generate(recalled(views, wanted, views, kind=kind), wanted, seed=0)
        control = calls[0]["control"][0]
        shown = control[8, 1:] == 0
        assert shown.float().mean() > 0.5
        assert control[:8, 1:][:, shown].abs().sum() > 0
        assert not control[:8, 1:][:, ~shown].any()

    def test_what_a_camera_saw_lies_over_what_was_drawn(self, generator, calls) -> None:
        (start,) = walk(1)
        drawn = with_latent(start, 7.0, source="generated")
        (seen,) = walk(1, -1.49)
        wanted = targets(1, -1.5)
        generator.generate(recalled([seen], wanted, [drawn]), wanted, seed=0)
        is_drawn = (calls[0]["control"][0, :8] == 7).all(dim=0)
        assert is_drawn[0].all()
        assert is_drawn[1].float().mean() < 0.3

    def test_what_is_masked_is_not_told(self, generator, calls) -> None:
        (start,) = walk(1)
        confidence = torch.ones(CAMERA.size)
        confidence[:, :32] = 0
        masked = dataclasses.replace(start, confidence=confidence)
        wanted = targets(1, -1.5)
        generator.generate(recalled([masked], wanted, [masked]), wanted, seed=0)
        missing = calls[0]["control"][0, 8]
        assert (missing[:2, :, :4] == 1).all()
        assert (missing[:2, :, 5:] == 0).all()

    def test_hidden_latents_are_not_told(self, generator, calls) -> None:
        """A camera saw a wall, without latents, in front of what was drawn."""
        here = Target(CAMERA, pose(-1.5))
        image = torch.full((*CAMERA.size, 3), 9, dtype=torch.uint8)
        behind = with_latent(
            View(image, CAMERA, here.T_world_camera, torch.full(CAMERA.size, 3.0), source="generated"), 7.0
        )
        wall = View(image, CAMERA, here.T_world_camera, torch.full(CAMERA.size, 1.0))
        beside = dataclasses.replace(here, T_world_camera=pose(-1.48))
        generator.generate(recalled([behind], [beside], [behind, wall]), [beside], seed=0)
        assert not (calls[0]["control"][0, :8, 1] == 7).all(dim=0).any()

    def test_constant_visibility_is_an_encoding(self, pipeline, calls) -> None:
        (start,) = walk(1)
        wanted = targets(1, -1.4)
        MirageGenerator(pipeline, visibility="constant").generate(recalled([start], wanted, [start]), wanted, seed=0)
        score = calls[0]["control"][0, 8:]
        assert torch.allclose(score[:, 0], score[:, 1])
        assert score.abs().max() > 0
        assert not torch.equal(score.unique(), torch.tensor([0.0, 1.0]))


class TestVideo:
    """A latent frame stands for four pictures."""

    def test_every_fourth_view_carries_latents(self, calls) -> None:
        generator = MirageGenerator(video_pipeline(rounds={"first": 9, "later": 9, "history": 1}))
        (start,) = walk(1)
        wanted = targets(12, -1.4)
        views = generator.generate(recalled([start], wanted, [start]), wanted, seed=0)
        assert len(calls) == 2
        assert [i for i, view in enumerate(views) if view.latent is not None] == [3, 7, 11]
        first, second = (call["output"].latents[0] for call in calls)
        assert torch.equal(views[3].latent, first[:, 1])
        assert torch.equal(views[7].latent, first[:, 2])
        assert torch.equal(views[11].latent, second[:, 1])
        assert torch.equal(calls[1]["history_latents"][0, :, 0], views[7].latent)
        assert torch.equal(calls[1]["preceding_latents"][0, :, 0], views[3].latent)
        assert calls[1]["preceding_latents"].shape[2] == 1, "the first view has none"
        assert calls[1]["control"].shape == (1, 16, 2 + 1, *OF_VIDEOS[1:])


class TestInAWorld:
    def test_a_walk_there_and_back(self, generator) -> None:
        memory = load_memory("latent")
        world = World(memory, generator, MemoryDepth(), k=4)
        for view in walk(2):
            world.observe(view)
        before = memory.figures()
        frames = list(world.explore(targets(6, -1.3), seed=3))
        assert len(frames) == 6
        assert before["latents"] == 0
        assert all(view.latent is not None for view in memory.views[2:]), "composited pictures keep what was drawn"
        assert memory.figures()["latents"] > 4 * 20
        shown = memory.project(targets(1, -1.0)[0])
        assert shown.features_seen.float().mean() > 0.4
        drawn = torch.stack([view.latent for view in memory.views[2:]]).movedim(0, 1).flatten(1)
        cell = shown.features[:, shown.features_seen][:, 0]
        assert (drawn == cell[:, None]).all(dim=0).any(), "bit for bit"
        again = list(world.branch().explore(targets(2, -0.7), seed=4))
        assert len(again) == 2
        world.undo()
        assert memory.figures() == before

    def test_equal_seeds(self, generator) -> None:
        worlds = []
        for _ in range(2):
            world = World(load_memory("latent"), generator, MemoryDepth())
            world.seed(walk(1)[0])
            worlds.append([frame.view.image for frame in world.explore(targets(5, -1.4), seed=3)])
        assert all(torch.equal(a, b) for a, b in zip(*worlds, strict=True))

    def test_a_saved_world_keeps_its_latents(self, generator, tmp_path) -> None:
        world = World(load_memory("latent"), generator, MemoryDepth())
        world.seed(walk(1)[0])
        list(world.explore(targets(4, -1.4), seed=3))
        world.save(tmp_path / "world")
        other = World(load_memory("latent"), generator, MemoryDepth())
        assert other.load(tmp_path / "world") == ()
        assert other.memory.figures() == world.memory.figures()
        target = targets(1, -1.2)[0]
        assert torch.equal(other.memory.project(target).features, world.memory.project(target).features)
        pipeline = pictures()
        with torch.no_grad():
            next(pipeline.vae.parameters()).add_(0.5)
        foreign = World(load_memory("latent"), MirageGenerator(pipeline), MemoryDepth())
        (note,) = foreign.load(tmp_path / "world")
        assert "another autoencoder" in note
        assert foreign.memory.figures() == {**world.memory.figures(), "latents": 0}


class TestOptions:
    def test_an_engine_by_name(self, tmp_path) -> None:
        pictures().save_pretrained(tmp_path / "model")
        generator = load_generator("mirage", model=tmp_path / "model", preceding=1, max_references=2)
        assert (generator.name, generator.preceding, generator.max_references) == ("mirage", 1, 2)
        (start,) = walk(1)
        assert len(generator.generate(recalled([start], targets(1, -1.4), [start]), targets(1, -1.4), seed=0)) == 1

    def test_a_history_of_more_is_refused(self, pipeline) -> None:
        with pytest.raises(ModelError, match="history"):
            MirageGenerator(pipeline, rounds={"history": 2})

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"model": "nowhere", "preceding": -1}, "preceding"),
            ({"model": "nowhere", "visibility": "seldom"}, "mask, constant"),
        ],
    )
    def test_options_that_cannot_be(self, options, words) -> None:
        with pytest.raises(ModelError, match=words):
            load_generator("mirage", **options)
