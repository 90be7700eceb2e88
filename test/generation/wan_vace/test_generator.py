"""The engine wan-vace between a world and diffusers' pipeline, with small networks of the real classes."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers.pipelines.wan import pipeline_wan_vace
from PIL import Image

from generator_contract import recall_of
from holes import left_third_missing
from hooks import noted_order, parts_elsewhere
from rooms import box_view
from stock_pipelines import tiny_klein, tiny_vace
from vmem_ros.errors import CancelledError, MemoryFullError, ModelError
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.wan_vace.generator import VaceGenerator
from vmem_ros.generation.wan_vace.options import VaceOptions
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Recall, Target, View
from vmem_ros.world import World
from wan_pipelines import tiny_video_vae

SMALL = Camera.from_fov(60, 44, 80)  # drawn at 64 x 48
OPTIONS = {
    "min_side": 32,
    "max_side": 64,
    "rounds": {"first": 13, "later": 13},
    "sampling": {"num_inference_steps": 2, "guidance_scale": 2.0},
}


def pose(x: float) -> torch.Tensor:
    return look_at((x, 0, 0), (3, 0.2, 0))


def walk(count: int, start: float = -1.5, camera: Camera = SMALL) -> list[View]:
    return [box_view(camera, pose(start + 0.1 * i)) for i in range(count)]


def targets(count: int, start: float = -1.4, camera: Camera = SMALL) -> list[Target]:
    return [Target(camera, pose(start + 0.1 * i), stamp_ns=100 + i) for i in range(count)]


def recall(wanted: list[Target], views: list[View], newest: int = 1) -> Recall:
    """Return a recall whose projections lack their left third; its newest views are the last of ``views``."""
    found = left_third_missing(recall_of(wanted, views, len(views)))
    assert len(views) >= newest
    return dataclasses.replace(found, newest=tuple(views[-newest:]))


@pytest.fixture(scope="module")
def pipeline():
    return tiny_vace()


@pytest.fixture
def calls(pipeline, monkeypatch):
    """What the pipeline is called with, call by call."""
    found, call = [], type(pipeline).__call__

    def note(self, **given):
        found.append(given)
        return call(self, **given)

    note.__wrapped__ = call
    monkeypatch.setattr(type(pipeline), "__call__", note)
    return found


def generator(pipeline, **options) -> VaceGenerator:
    return VaceGenerator(pipeline, options=VaceOptions(**{**OPTIONS, **options}))


def test_what_it_is(pipeline):
    drawing = generator(pipeline)
    assert (drawing.name, drawing.frames) == ("wan-vace", 8)
    assert drawing.uses == {"views", "newest", "projection", "prompt"}
    assert VaceGenerator(pipeline).frames == 76


def test_the_newest_view_is_the_first_frame_and_kept(pipeline, calls):
    views, wanted = walk(1), targets(4)
    out = generator(pipeline).generate(recall(wanted, views), wanted, seed=1)
    (given,) = calls
    assert (given["num_frames"], len(given["video"]), len(given["mask"])) == (5, 5, 5)
    assert (given["height"], given["width"]) == (48, 64)
    first = np.asarray(given["video"][0], dtype=float)
    assert abs(first - np.asarray(Image.fromarray(views[0].image.numpy()).resize((64, 48)), dtype=float)).mean() < 6
    assert not np.asarray(given["mask"][0]).any()
    assert all((np.asarray(mask)[:, :20] == 255).all() for mask in given["mask"][1:])
    assert given["reference_images"] is None
    assert [view.stamp_ns for view in out] == [100, 101, 102, 103]


def test_five_newest_views_are_kept_and_references_are_others(pipeline, calls):
    views, wanted = walk(7), targets(6, start=-0.8)
    generator(pipeline).generate(recall(wanted, views, newest=6), wanted, seed=1)
    (given,) = calls
    assert given["num_frames"] == 13  # five known, six asked for, two to fill up
    assert not any(np.asarray(mask).any() for mask in given["mask"][:5])
    assert all(np.asarray(mask).any() for mask in given["mask"][5:])
    # Views 0 and 1 are not among the five.
    assert len(given["reference_images"]) == 2


def test_no_more_references_than_latent_frames(pipeline, calls):
    """The pipeline has no room for more in its mask, and fails."""
    views, wanted = walk(7), targets(3, start=-0.8)
    generator(pipeline).generate(recall(wanted, views), wanted, seed=1)
    assert calls[0]["num_frames"] == 5
    assert len(calls[0]["reference_images"]) == 2


def test_a_long_path_takes_several_clips(pipeline, calls):
    steps, wanted = [], targets(20)
    shown = recall(wanted, walk(1))
    views = generator(pipeline).generate(shown, wanted, seed=1, on_step=lambda *step: steps.append(step))
    assert len(views) == 20
    assert [given["num_frames"] for given in calls] == [13, 13]
    assert steps == [(step, 4) for step in range(1, 5)]
    # The second goes on from the last five of the first.
    kept = np.asarray(calls[1]["video"][4], dtype=float)
    drawn = np.asarray(Image.fromarray(views[11].image.numpy()).resize((64, 48)), dtype=float)
    assert abs(kept - drawn).mean() < 12


def test_what_memory_shows_is_pasted_back(pipeline):
    wanted = targets(4)
    shown = recall(wanted, walk(1))
    for view, projection in zip(generator(pipeline).generate(shown, wanted, seed=1), shown.projections, strict=True):
        inside = slice(25, None)
        seen = projection.seen[:, inside]
        if seen.all():
            assert torch.equal(view.image[:, inside], projection.image[:, inside])
        assert tuple(view.image.shape) == (44, 60, 3)


def test_texts_need_no_ftfy(pipeline, calls, monkeypatch):
    """As strings the pipeline would clean them with a package that most do not have."""
    monkeypatch.delattr(pipeline_wan_vace, "ftfy", raising=False)
    wanted = targets(2)
    shown = recall(wanted, walk(1))
    with pytest.raises(NameError, match="ftfy"):
        pipeline(prompt="a room", height=48, width=64, num_frames=5)
    calls.clear()
    for text in ("a  red &amp; room", "a red & room", "a garden"):
        generator(pipeline, negative_prompt="garden").generate(shown, wanted, prompt=text, seed=1)
    one, same, other = (given["prompt_embeds"] for given in calls)
    assert all("prompt" not in given for given in calls)
    assert one.shape == calls[0]["negative_prompt_embeds"].shape == (1, 512, 32)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    generator(pipeline, sampling={"num_inference_steps": 1, "guidance_scale": 1.0}).generate(shown, wanted, seed=1)
    assert "negative_prompt_embeds" not in calls[-1]


def test_the_shift_belongs_to_the_size(pipeline):
    wanted = targets(1)
    shown = recall(wanted, walk(1))
    generator(pipeline, sampling={"num_inference_steps": 1, "flow_shift": 7.0}).generate(shown, wanted, seed=1)
    assert pipeline.scheduler.config.flow_shift == 7.0
    drawing = generator(pipeline)
    drawing.generate(shown, wanted, seed=1)
    assert pipeline.scheduler.config.flow_shift == 3.0
    drawing._set_shift((720, 1280))
    assert pipeline.scheduler.config.flow_shift == 5.0


def test_control_scale_reaches_the_network(pipeline):
    wanted = targets(2)
    shown = recall(wanted, walk(1))
    one, other = (
        generator(pipeline, sampling={"num_inference_steps": 1, "control_scale": scale}).generate(shown, wanted, seed=1)
        for scale in (1.0, 0.0)
    )
    assert not torch.equal(one[0].image, other[0].image)


def test_cancelled_between_steps_and_drawing_again(pipeline):
    done, wanted = [], targets(2)
    shown, drawing = recall(wanted, walk(1)), generator(pipeline)
    with pytest.raises(CancelledError, match="step 1 of 2"):
        drawing.generate(shown, wanted, on_step=lambda step, _: done.append(step), should_stop=lambda: bool(done))
    assert done == [1]
    one, again = (drawing.generate(shown, wanted, seed=1)[0].image for _ in range(2))
    assert torch.equal(one, again)


def test_out_of_memory_says_what_helps(pipeline, monkeypatch):
    wanted = targets(2)

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB")

    monkeypatch.setattr(pipeline.vae, "encode", full)
    with pytest.raises(MemoryFullError, match=r"memory for a clip of 5 frames of 64 x 48 .*offload=model"):
        generator(pipeline).generate(recall(wanted, walk(1)), wanted, seed=1)


def test_every_part_is_called_so_that_it_can_be_moved():
    pipeline, wanted = tiny_vace(), targets(2)
    order = noted_order(pipeline)
    generator(pipeline).generate(recall(wanted, walk(1)), wanted, seed=1)
    assert order == ["text_encoder", "vae", "transformer", "vae"]


def test_layer_by_layer():
    wanted = targets(2)
    shown = recall(wanted, walk(1))
    expected = generator(tiny_vace()).generate(shown, wanted, seed=1)[0].image
    pipeline = tiny_vace()
    parts_elsewhere(pipeline)
    drawn = generator(pipeline).generate(shown, wanted, seed=1)[0].image
    assert (drawn.int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize(("width", "height"), [(97, 61), (33, 80), (120, 40)])
def test_any_size_is_rounded_and_brought_back(pipeline, calls, width, height):
    camera = Camera.from_fov(width, height, 80)
    wanted = targets(2, camera=camera)
    views = generator(pipeline).generate(recall(wanted, walk(1, camera=camera)), wanted, seed=1)
    assert all(tuple(view.image.shape) == (height, width, 3) for view in views)
    assert max(calls[0]["height"], calls[0]["width"]) <= 64
    assert {frame.size for frame in calls[0]["video"]} == {(calls[0]["width"], calls[0]["height"])}


def test_a_world_draws_a_path_as_one_clip(pipeline, calls):
    world = World(load_memory(), generator(pipeline), MemoryDepth())
    world.observe(walk(1)[0])
    assert len(list(world.explore(targets(8), seed=1))) == 8
    assert len(calls) == 1


def test_a_folder_draws_what_its_pipeline_draws(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path / "vace")
    wanted = targets(2)
    shown = recall(wanted, walk(1))
    loaded = load_generator("wan-vace", model=tmp_path / "vace", dtype="bfloat16", vae_tiling=True, **OPTIONS)
    parts = loaded.pipeline.components
    assert parts["vae"].dtype == torch.float32
    assert parts["transformer"].dtype == parts["text_encoder"].dtype == torch.bfloat16
    assert loaded.generate(shown, wanted, seed=1)
    loaded = load_generator("wan-vace", model=tmp_path / "vace", **OPTIONS)
    expected = generator(pipeline).generate(shown, wanted, seed=1)[0].image
    assert torch.equal(loaded.generate(shown, wanted, seed=1)[0].image, expected)


def test_models_of_another_kind(tmp_path):
    tiny_klein().save_pretrained(tmp_path / "klein")
    with pytest.raises(
        ModelError, match="of a Flux2KleinInpaintPipeline, but engine 'wan-vace' needs one of a WanVACE"
    ):
        load_generator("wan-vace", model=tmp_path / "klein")
    with pytest.raises(ModelError, match=r"not on this machine: .*`vmem fetch wan-vace --model nobody/nothing`"):
        load_generator("wan-vace", model="nobody/nothing")


def test_an_autoencoder_that_the_pipeline_takes_for_another():
    """That of Wan 2.2: the pipeline would compute half of its stride, and draw nonsense without an error."""
    with pytest.raises(ModelError, match=r"makes pictures 16 times smaller, but .* takes it for 8 times"):
        VaceGenerator(tiny_vace(vae=tiny_video_vae()))


@pytest.mark.parametrize(
    ("rounds", "message"),
    [
        ({"first": 12}, "first must be 4 k \\+ 1 frames, got 12"),
        ({"history": 3}, "history must be 4 k \\+ 1 frames, got 3"),
        ({"last": 5}, "rounds have no field last: allowed are first, later, history, full"),
    ],
)
def test_lengths_that_are_no_clips(pipeline, rounds, message):
    with pytest.raises(ModelError, match=message):
        generator(pipeline, rounds=rounds)


def test_nothing_to_go_on_from(pipeline):
    wanted = targets(1)
    empty = dataclasses.replace(
        recall(wanted, walk(1)), views=(), newest=(), weights=torch.zeros(0, dtype=torch.float64), indices=()
    )
    with pytest.raises(ModelError, match="nothing to draw from"):
        generator(pipeline).generate(empty, wanted)


def test_options_of_the_node_and_the_command_line():
    assert VaceOptions(sampling={"num_inference_steps": 3}).sampling.num_inference_steps == 3
    with pytest.raises(ValueError, match="rounds must be a mapping"):
        VaceOptions(rounds=[81])
    assert VaceOptions().model == "Wan-AI/Wan2.1-VACE-1.3B-diffusers"
    assert (VaceOptions(max_side=200).min_side, VaceOptions(max_side=200).max_side) == (200, 200)
