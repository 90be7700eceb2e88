"""Spatia's generator between a world and a pipeline, with small networks of the real classes."""

import dataclasses

import pytest
import torch

from memory_subject import CAMERA, VIEWS, write
from rooms import box_view, orbit
from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.wan import SpatiaGenerator
from vmem_ros.generation.wan.sampling_options import ClipSamplingOptions
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Recall, Target, View
from vmem_ros.world import World
from wan_pipelines import picture_pipeline, video_pipeline

SMALL = Camera.from_fov(60, 44, 80)  # drawn at 64 x 32


def pose(x: float) -> torch.Tensor:
    return look_at((x, 0, 0), (3, 0.2, 0))


def walk(count: int, start: float = -1.5, step: float = 0.1, camera: Camera = SMALL) -> list[View]:
    return [box_view(camera, pose(start + step * i)) for i in range(count)]


def targets(count: int, start: float = -1.5, step: float = 0.1, camera: Camera = SMALL) -> list[Target]:
    return [Target(camera, pose(start + step * i), stamp_ns=100 + i) for i in range(count)]


def recalled(views: list[View], wanted: list[Target], newest: list[View]) -> Recall:
    """Return a recall with references and newest views of one's choice, and what a memory of both shows."""
    memory = load_memory()
    for view in {id(view): view for view in (*views, *newest)}.values():
        write(memory, [view])
    found = memory.read(wanted, 1, record=False)
    weights = torch.ones(len(views), dtype=torch.float64) / max(1, len(views))
    return dataclasses.replace(
        found, views=tuple(views), weights=weights, indices=tuple(range(len(views))), newest=tuple(newest)
    )


@pytest.fixture(scope="module")
def pipeline():
    return video_pipeline()


@pytest.fixture
def generator(pipeline):
    return SpatiaGenerator(pipeline)


@pytest.fixture
def calls(pipeline, monkeypatch):
    """What the pipeline is called with, pass by pass."""
    found, call = [], type(pipeline).__call__

    def note(self, prompt=None, **options):
        found.append({"prompt": prompt, **options})
        return call(self, prompt, **options)

    monkeypatch.setattr(type(pipeline), "__call__", note)
    return found


def test_what_it_uses(generator):
    assert generator.uses == {"views", "projection", "newest", "depth", "prompt"}
    assert generator.frames == 4
    silent = SpatiaGenerator(picture_pipeline())
    assert silent.uses == {"views", "projection", "newest", "depth"}
    assert silent.frames == 3


def test_first_round_goes_on_from_one_picture(generator, calls):
    views = walk(1)
    wanted = targets(8, start=-1.4)
    drawn = generator.generate(recalled(views, wanted, views), wanted, seed=1)
    assert len(drawn) == 8
    (call,) = calls
    assert (call["height"], call["width"], call["num_frames"]) == (32, 64, 9)
    assert [image is views[0].image for image in call["history"]] == [True]
    assert call["references"] is None
    assert len(call["scene"]) == len(call["coverage"]) == 9
    # The first frame is shown by itself, the others by the projections.
    assert float(call["coverage"][0].float().mean()) > 0.95
    for view, target in zip(drawn, wanted, strict=True):
        assert (view.camera, view.stamp_ns, view.source) == (target.camera, target.stamp_ns, "generated")
        assert torch.equal(view.T_world_camera, target.T_world_camera)


def test_later_rounds_go_on_from_the_end_of_the_round_before(generator, calls):
    newest = walk(5)
    references = walk(3, start=0.5)
    wanted = targets(7, start=-1.0)
    drawn = generator.generate(recalled([*references, newest[-1]], wanted, newest), wanted, seed=1)
    first, second = calls
    assert [(c["num_frames"], len(c["history"]), len(c["references"])) for c in calls] == [(9, 5, 3), (9, 5, 3)]
    assert all(a is b.image for a, b in zip(first["history"], newest, strict=True))
    assert second["history"][0] is newest[-1].image
    assert all(a is b.image for a, b in zip(second["history"][1:], drawn[:4], strict=True))
    # Three more are wanted and four drawn: the last scene is repeated.
    assert second["scene"][-1] is second["scene"][-2]
    assert second["scene"][-2] is not second["scene"][-3]


def test_the_scene_is_what_memory_shows(generator, calls):
    views = walk(1)
    wanted = targets(4, start=-1.4)
    recall = recalled(views, wanted, views)
    generator.generate(recall, wanted, seed=1)
    for projection, image, seen in zip(
        recall.projections, calls[0]["scene"][1:], calls[0]["coverage"][1:], strict=True
    ):
        assert abs(float(projection.seen.float().mean()) - float(seen.float().mean())) < 0.05
        assert not image[~seen].any()


def test_a_path_that_begins_elsewhere_goes_on_from_the_nearest_view(generator, calls):
    newest = walk(5)
    far = walk(2, start=1.0, step=0.5)
    wanted = targets(4, start=1.1)
    generator.generate(recalled([far[1], far[0]], wanted, newest), wanted, seed=1)
    (call,) = calls
    assert [image is far[0].image for image in call["history"]] == [True]
    assert [image is far[1].image for image in call["references"]] == [True]


def test_history_of_another_camera_is_left_out(generator, calls):
    other = walk(4, camera=Camera.from_fov(60, 44, 50))
    newest = [*other, *walk(1, start=-1.1)]
    wanted = targets(4, start=-1.0)
    generator.generate(recalled([other[0]], wanted, newest), wanted, seed=1)
    assert [image is newest[-1].image for image in calls[0]["history"]] == [True]
    assert any("goes on from one view" in note for note in generator.notes())


def test_references_are_bounded(pipeline, calls):
    generator = SpatiaGenerator(pipeline, max_references=2)
    newest, references = walk(5), walk(6, start=0.5)
    wanted = targets(1, start=-1.0)
    generator.generate(recalled(references, wanted, newest), wanted, seed=1)
    assert [image is view.image for image, view in zip(calls[0]["references"], references, strict=False)] == [True] * 2
    none = SpatiaGenerator(pipeline, max_references=0)
    none.generate(recalled(references, wanted, newest), wanted, seed=1)
    assert calls[1]["references"] is None


def test_depth_that_is_not_known_is_no_scene(generator, calls):
    view = walk(1)[0]
    half = view.depth.clone()
    half[:, :30] = torch.nan
    wanted = targets(1, start=-1.4)
    for changed, share in ((view.having(depth=half), 0.5), (view.having(depth=None), 0.0)):
        recall = dataclasses.replace(recalled([view], wanted, [view]), views=(changed,), newest=(changed,))
        generator.generate(recall, wanted, seed=1)
        assert abs(float(calls[-1]["coverage"][0].float().mean()) - share) < 0.05
        assert not calls[-1]["scene"][0][:, :30].any()


def test_prompts(pipeline, calls):
    generator = SpatiaGenerator(pipeline, prompt="a garden", prompt_suffix=" , 4K", negative_prompt="the red walls")
    camera = Camera.from_fov(64, 32, 80)  # drawn as it is
    views, wanted = walk(1, camera=camera), targets(1, start=-1.4, camera=camera)
    recall = recalled(views, wanted, views)
    (by_default,) = generator.generate(recall, wanted, seed=1)
    (asked,) = generator.generate(recall, wanted, prompt=" the room ", seed=1)
    assert [call["prompt"] for call in calls] == ["a garden , 4K", "the room , 4K"]
    assert {call["negative_prompt"] for call in calls} == {"the red walls"}
    assert not torch.equal(by_default.image, asked.image)
    SpatiaGenerator(pipeline).generate(recall, wanted, seed=1)
    assert calls[-1]["prompt"] is None


def test_options_of_the_sampling(pipeline, calls):
    generator = SpatiaGenerator(pipeline, sampling=ClipSamplingOptions(num_inference_steps=3, control_scale=0.5))
    views, wanted = walk(1), targets(9, start=-1.4)
    steps = []
    generator.generate(recalled(views, wanted, views), wanted, on_step=lambda *step: steps.append(step))
    assert len(calls) == 2
    assert steps == [(i + 1, 6) for i in range(6)]
    assert (calls[0]["num_inference_steps"], calls[0]["control_scale"]) == (3, 0.5)


def test_cancelled_between_steps(generator, calls):
    views, wanted = walk(1), targets(9, start=-1.4)
    done = []
    with pytest.raises(CancelledError, match="after denoising step 3 of 4"):
        generator.generate(
            recalled(views, wanted, views), wanted,
            on_step=lambda step, _: done.append(step), should_stop=lambda: len(done) == 3,
        )  # fmt: skip
    assert len(calls) == 2


def test_large_views_are_drawn_small_and_say_so(pipeline):
    generator = SpatiaGenerator(pipeline, max_side=64)
    camera = Camera.from_fov(256, 128, 80)
    views = walk(1, camera=camera)
    wanted = targets(1, start=-1.4, camera=camera)
    recall = recalled(views, wanted, views)
    (drawn,) = generator.generate(recall, wanted, seed=1)
    assert drawn.image.shape == (128, 256, 3)
    assert any("drawn at 64 x 32 and enlarged" in note for note in generator.notes())
    seen = recall.projections[0].seen
    assert torch.equal(drawn.image[seen], recall.projections[0].image[seen])


def test_nothing_to_draw_from(generator):
    empty = Recall((), torch.empty(0, dtype=torch.float64), ())
    with pytest.raises(ModelError, match="nothing to draw from"):
        generator.generate(empty, targets(1))


@pytest.mark.parametrize("make", [video_pipeline, picture_pipeline])
def test_a_world_goes_on_and_on(make):
    """Chunks as the generator likes them: the first from one picture, later ones from the end of the last one."""
    generator = SpatiaGenerator(make())
    world = World(load_memory(), generator, MemoryDepth(), k=7)
    world.seed(box_view(CAMERA, VIEWS[0].T_world_camera))
    path = [Target(CAMERA, T) for T in orbit(32, radius=0.9)[1 : 1 + 2 * generator.frames + 1]]
    frames = list(world.explore(path, seed=3))
    assert len(frames) == len(path)
    assert len(world) == 1 + len(path)
    world.undo()
    assert len(world) == 1
    again = list(world.explore(path, seed=3))
    assert all(torch.equal(a.view.image, b.view.image) for a, b in zip(frames, again, strict=True))


def test_a_prompt_through_a_world(pipeline):
    world = World(load_memory(), SpatiaGenerator(pipeline), MemoryDepth(), composite="none")
    world.seed(box_view(CAMERA, VIEWS[0].T_world_camera))
    path = [Target(CAMERA, orbit(32, radius=0.9)[1])]
    one, other = (
        next(iter(world.explore(path, prompt=prompt, seed=3, commit=False))).view.image
        for prompt in ("a garden", "the red walls")
    )
    assert not torch.equal(one, other)
    silent = World(load_memory(), SpatiaGenerator(picture_pipeline()), MemoryDepth())
    silent.seed(box_view(CAMERA, VIEWS[0].T_world_camera))
    with pytest.raises(ModelError, match="uses no prompt"):
        list(silent.explore(path, prompt="a garden"))


def test_engine(tmp_path, pipeline):
    pipeline.save_pretrained(tmp_path)
    generator = load_generator(
        "spatia", model=tmp_path, max_references=3, prompt="a garden", sampling={"num_inference_steps": 1},
        rounds={"history": 1},
    )  # fmt: skip
    assert isinstance(generator, SpatiaGenerator)
    assert (generator.max_references, generator.frames) == (3, 8)
    views, wanted = walk(1), targets(2, start=-1.4)
    assert len(generator.generate(recalled(views, wanted, views), wanted, seed=1)) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "nowhere/such"}, "no pipeline folder nowhere/such"),
        ({"model": "HERE", "offload": "model"}, "the device is the CPU"),
        ({"model": "HERE", "offload": "disk"}, "offload must be one of"),
        ({"model": "HERE", "dtype": "float8"}, "dtype must be one of"),
        ({"model": "HERE", "sampling": {"steps": 3}}, "sampling has no steps"),
        ({"model": "HERE", "sampling": {"num_inference_steps": 0}}, "num_inference_steps must be"),
        ({"model": "HERE", "rounds": {"later": 8}}, "later must be 4 k"),
        ({"model": "HERE", "max_references": -1}, "max_references must be"),
        ({"model": "HERE", "max_side": 8}, "max_side must be at least 32"),
        ({"model": "HERE", "lora": "nowhere.safetensors"}, "no LoRA adapter"),
        ({"model": "HERE", "steps": 3}, "has no option steps"),
    ],
)
def test_options_that_do_not_fit(tmp_path, pipeline, options, message):
    pipeline.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=message):
        load_generator("spatia", **{name: tmp_path if value == "HERE" else value for name, value in options.items()})


def test_a_folder_of_another_pipeline(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "VMemPipeline"}')
    with pytest.raises(ModelError, match="holds a VMemPipeline, not a SceneWanPipeline"):
        load_generator("spatia", model=tmp_path)


def test_a_prompt_for_a_model_that_cannot_read():
    with pytest.raises(ModelError, match="no text encoder"):
        SpatiaGenerator(picture_pipeline(), prompt="a garden")
