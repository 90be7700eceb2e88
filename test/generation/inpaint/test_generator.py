"""The engine inpaint between a world and pipelines of diffusers, with small networks of the real classes."""

import dataclasses

import numpy as np
import pytest
import torch
from diffusers import FluxFillPipeline, FluxInpaintPipeline, FluxKontextInpaintPipeline
from PIL import Image

from generator_contract import TARGETS, recall_of
from holes import left_third_missing, with_hole
from hooks import noted_order, parts_elsewhere
from memory_subject import CAMERA
from stock_pipelines import tiny_flux, tiny_klein, tiny_stable_diffusion
from vmem_ros.errors import CancelledError, MemoryFullError, ModelError
from vmem_ros.generation.inpaint.generator import InpaintGenerator
from vmem_ros.generation.inpaint.options import InpaintOptions
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.types import Target
from vmem_ros.world import World

SMALL = {"min_side": 64, "max_side": 128}


def recall(count: int = 1):
    return left_third_missing(recall_of(TARGETS[:count]))


@pytest.fixture(scope="module")
def klein():
    return tiny_klein()


@pytest.fixture
def calls(klein, monkeypatch):
    """What the pipeline is called with, call by call."""
    found, call = [], type(klein).__call__

    def note(self, **given):
        found.append(given)
        return call(self, **given)

    # The signature is what the engine looks at.
    note.__wrapped__ = call
    monkeypatch.setattr(type(klein), "__call__", note)
    return found


def generator(pipeline, **options) -> InpaintGenerator:
    return InpaintGenerator(pipeline, options=InpaintOptions(**{**SMALL, **options}))


def test_holes_are_the_mask_and_what_memory_shows_stays(klein, calls):
    shown = recall()
    (view,) = generator(klein).generate(shown, TARGETS[:1], seed=1)
    (given,) = calls
    mask = np.asarray(given["mask_image"])
    assert mask.shape == (given["height"], given["width"])
    assert (given["height"] % 16, given["width"] % 16) == (0, 0)
    assert max(mask.shape) >= 64
    white = mask == 255
    assert 0.3 <= white.mean() <= 0.5
    assert white[:, 0].all()
    (projection,) = shown.projections
    inside = slice(CAMERA.width // 3 + 5, None)
    assert torch.equal(view.image[:, inside], projection.image[:, inside])
    left = view.image[:, : CAMERA.width // 3].float()
    assert float(left.std()) > 1


def test_a_distilled_model_draws_in_four_steps_without_guidance(klein, calls):
    steps = []
    generator(klein).generate(recall(), TARGETS[:1], seed=1, on_step=lambda *step: steps.append(step))
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    (given,) = calls
    assert (given["num_inference_steps"], given["guidance_scale"], given["strength"]) == (4, 1.0, 1.0)


def test_options_reach_the_pipeline(klein, calls):
    options = {"sampling": {"num_inference_steps": 5, "strength": 0.6}, "call": {"max_sequence_length": 64}}
    steps = []
    drawing = generator(klein, prompt="a red room", **options)
    drawing.generate(recall(2), TARGETS[:2], seed=1, on_step=lambda *step: steps.append(step))
    assert steps == [(step, 6) for step in range(1, 7)]
    assert [given["prompt"] for given in calls] == ["a red room"] * 2
    assert all(given["max_sequence_length"] == 64 for given in calls)
    drawing.generate(recall(), TARGETS[:1], prompt=" a garden ", seed=1)
    assert calls[-1]["prompt"] == "a garden"


def test_a_prompt_changes_what_is_drawn(klein):
    one, same, other = (
        generator(klein).generate(recall(), TARGETS[:1], prompt=text, seed=1)[0].image
        for text in ("a room", "a room", "a garden with a red chair")
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_references_come_from_memory_best_first_and_the_view_before(klein, calls):
    shown = recall(2)
    views = generator(klein, max_references=3).generate(shown, TARGETS[:2], seed=1)
    first, second = (given["image_reference"] for given in calls)
    assert len(first) == len(second) == 3
    size = (first[0].height, first[0].width)
    assert (size[0] % 16, size[1] % 16) == (0, 0)
    # Those of memory, and then the view that was drawn before, in front of them.
    before = np.asarray(Image.fromarray(views[0].image.numpy()).resize(second[0].size), dtype=float)
    assert abs(np.asarray(second[0], dtype=float) - before).mean() < 12
    assert np.array_equal(np.asarray(second[1]), np.asarray(first[0]))


def test_references_change_what_is_drawn(klein):
    shown = recall()
    with_them, without = (
        generator(klein, max_references=count).generate(shown, TARGETS[:1], seed=1)[0].image for count in (2, 0)
    )
    assert not torch.equal(with_them, without)
    assert generator(klein, max_references=0).uses == {"projection", "prompt"}
    assert generator(tiny_stable_diffusion()).uses == {"projection", "prompt"}


@pytest.mark.parametrize("channels", [9, 4])
def test_other_pipelines_draw_too(channels):
    pipeline = tiny_stable_diffusion(channels=channels)
    options = {"sampling": {"num_inference_steps": 2, "guidance_scale": 2.0}, "negative_prompt": "a garden"}
    steps = []
    drawing = generator(pipeline, prompt="a room", **options)
    one = drawing.generate(recall(), TARGETS[:1], seed=1, on_step=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]
    other = generator(pipeline, prompt="a room", sampling=options["sampling"]).generate(recall(), TARGETS[:1], seed=1)
    assert not torch.equal(one[0].image, other[0].image)


@pytest.mark.parametrize(
    ("kind", "references"), [(FluxInpaintPipeline, 0), (FluxFillPipeline, 0), (FluxKontextInpaintPipeline, 1)]
)
def test_pipelines_of_flux_1(kind, references):
    # Kontext would draw a megapixel, whatever it is asked for.
    call = {"max_area": 64 * 64, "_auto_resize": False} if references else {}
    drawing = generator(tiny_flux(kind), prompt="a room", sampling={"num_inference_steps": 2}, call=call)
    assert drawing.max_references == references
    steps = []
    (view,) = drawing.generate(recall(), TARGETS[:1], seed=1, on_step=lambda *step: steps.append(step))
    assert steps == [(1, 2), (2, 2)]
    assert float(view.image[:, : CAMERA.width // 3].float().std()) > 1


def test_what_is_whole_is_not_drawn(klein, calls):
    steps = []
    whole = recall_of(TARGETS[:1])
    (view,) = generator(klein).generate(whole, TARGETS[:1], seed=1, on_step=lambda *step: steps.append(step))
    assert not calls
    assert steps == [(1, 1)]
    assert torch.equal(view.image, whole.projections[0].image)


def test_cracks_are_closed_without_drawing(klein, calls):
    shown = recall_of(TARGETS[:1])
    (projection,) = shown.projections
    crack = torch.zeros_like(projection.seen)
    crack[10:14, 20] = True
    cracked = dataclasses.replace(shown, projections=(with_hole(projection, crack),))
    (view,) = generator(klein).generate(cracked, TARGETS[:1], seed=1)
    assert not calls
    assert torch.equal(view.image[~crack], projection.image[~crack])
    assert view.image[crack].any()


@pytest.mark.parametrize(("width", "height"), [(97, 61), (33, 200), (300, 40)])
def test_any_size_is_rounded_and_brought_back(klein, calls, width, height):
    camera = Camera.from_fov(width, height, 70)
    target = Target(camera, TARGETS[0].T_world_camera)
    drawing = generator(klein)
    (view,) = drawing.generate(left_third_missing(recall_of([target])), [target], seed=1)
    assert tuple(view.image.shape) == (height, width, 3)
    (given,) = calls
    assert max(given["height"], given["width"]) <= 128
    assert ("enlarged" in "".join(drawing.notes())) == (max(width, height) > 128)


def test_small_views_are_drawn_larger(klein, calls):
    generator(klein, min_side=128).generate(recall(), TARGETS[:1], seed=1)
    assert max(calls[0]["height"], calls[0]["width"]) == 128


def test_cancelled_between_steps_and_drawing_again(klein):
    done = []
    drawing = generator(klein)
    with pytest.raises(CancelledError, match="step 2 of 4"):
        drawing.generate(
            recall(), TARGETS[:1], on_step=lambda step, _: done.append(step), should_stop=lambda: len(done) == 2
        )
    assert done == [1, 2]
    one, again = (drawing.generate(recall(), TARGETS[:1], seed=1)[0].image for _ in range(2))
    assert torch.equal(one, again)


def test_out_of_memory_says_what_helps_and_the_next_call_works(klein, monkeypatch):
    drawing = generator(klein)
    expected = drawing.generate(recall(), TARGETS[:1], seed=1)[0].image
    with monkeypatch.context() as patched:

        def full(*_, **__):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB")

        patched.setattr(klein.transformer, "forward", full)
        with pytest.raises(MemoryFullError, match=r"not enough memory for a view of 64 x \d+ .* offload=model"):
            drawing.generate(recall(), TARGETS[:1], seed=1)
    assert torch.equal(drawing.generate(recall(), TARGETS[:1], seed=1)[0].image, expected)


def test_what_the_pipeline_refuses_gets_a_name(klein, monkeypatch):
    monkeypatch.setattr(klein.transformer, "forward", lambda *_, **__: undefined_name)  # noqa: F821
    with pytest.raises(ModelError, match=r"engine 'inpaint' cannot draw a view .* NameError"):
        generator(klein).generate(recall(), TARGETS[:1], seed=1)


def test_a_package_that_a_pipeline_lacks_is_named(klein, monkeypatch):
    """Some pipelines use ftfy by its name where it could not be imported."""
    monkeypatch.setattr(klein, "encode_prompt", lambda *_, **__: ftfy.fix_text(""))  # noqa: F821
    with pytest.raises(ModelError, match="pip install ftfy"):
        generator(klein).generate(recall(), TARGETS[:1], seed=1)


def test_every_part_is_called_so_that_it_can_be_moved():
    pipeline = tiny_klein()
    order = noted_order(pipeline)
    generator(pipeline).generate(recall(), TARGETS[:1], seed=1)
    assert order == ["text_encoder", "vae", "transformer", "vae"]


def test_layer_by_layer():
    expected = generator(tiny_klein()).generate(recall(), TARGETS[:1], seed=1)[0].image
    pipeline = tiny_klein()
    parts_elsewhere(pipeline)
    drawn = generator(pipeline).generate(recall(), TARGETS[:1], seed=1)[0].image
    assert (drawn.int() - expected.int()).abs().max() <= 1


def test_a_world_goes_on_from_what_was_invented(klein):
    """One view at a time: the second sees what the first invents."""
    (seed,) = recall_of(TARGETS[:1]).views[:1]
    world = World(load_memory(), generator(klein), MemoryDepth())
    world.observe(dataclasses.replace(seed, source="observed"))
    frames = list(world.explore(TARGETS[:3], seed=3))
    assert len(frames) == 3
    assert len(world.memory) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"call": {"colour": 1}}, "option call has no colour for a Flux2KleinInpaintPipeline: it has .*max_sequence"),
        ({"call": {"generator": 1}}, "option call has no generator"),
        ({"negative_prompt": "people"}, "takes no negative_prompt"),
        ({"max_side": 8}, "max_side must be at least 16"),
    ],
)
def test_options_that_the_pipeline_cannot_follow(klein, options, message):
    with pytest.raises(ModelError, match=message):
        generator(klein, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "int8"}, "dtype must be one of auto, float32"),
        ({"offload": "disk"}, "offload must be one of none, model, sequential"),
        ({"holes": "white"}, "holes must be one of continued, grey"),
        ({"least_hole": 2}, "least_hole must be between 0 and 1"),
        ({"max_references": -1}, "max_references must be a whole number of 0 or more"),
        ({"sampling": {"num_inference_steps": 0}}, "sampling.num_inference_steps must be a whole number"),
        ({"sampling": {"strength": 1.5}}, "sampling.strength must be a finite number between 0 and 1"),
        ({"sampling": {"sampler": "fast"}}, "sampling has no sampler: it has num_inference_steps, guidance_scale"),
        ({"call": [1]}, "call must be a mapping"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        InpaintOptions(**options)


def test_a_hole_that_is_all_of_the_picture(klein):
    shown = recall_of(TARGETS[:1])
    nothing = with_hole(shown.projections[0], torch.ones_like(shown.projections[0].seen))
    (view,) = generator(klein).generate(dataclasses.replace(shown, projections=(nothing,)), TARGETS[:1], seed=1)
    assert float(view.image.float().std()) > 1
