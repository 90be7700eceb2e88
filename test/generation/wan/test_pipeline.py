"""The pipeline of the video network with small parts of the real classes."""

import pytest
import torch

from vmem_ros.errors import CancelledError, InvalidImageError, ModelError
from vmem_ros.generation.vmem.autoencoding import pixels
from vmem_ros.generation.wan import SceneWanPipeline
from vmem_ros.generation.wan.autoencoding import decode_clip, encode_clip, encode_control, encode_singly
from vmem_ros.generation.wan.sampling import RoundConditioning, sample_round
from vmem_ros.generation.wan.schedules import euler_scheduler, started, unipc_scheduler
from vmem_ros.generation.wan.text import MAX_TOKENS, encode_text
from wan_networks import tiny_transformer
from wan_pipelines import picture_pipeline, tiny_picture_vae, tiny_text, tiny_video_vae, video_pipeline

HEIGHT, WIDTH, FRAMES = 32, 64, 9


def pictures(count: int, size=(HEIGHT, WIDTH), seed: int = 3) -> list[torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return list(torch.randint(0, 256, (count, *size, 3), dtype=torch.uint8, generator=g))


def clip(**changes) -> dict:
    """Return the arguments of a later round, with text where nothing else is said."""
    g = torch.Generator().manual_seed(9)
    given = {
        "prompt": "a red room",
        "height": HEIGHT,
        "width": WIDTH,
        "num_frames": FRAMES,
        "scene": pictures(FRAMES),
        "coverage": list(torch.rand(FRAMES, HEIGHT, WIDTH, generator=g)),
        "history": pictures(5, seed=4),
        "references": pictures(2, seed=5),
        "generator": torch.Generator().manual_seed(7),
    }
    return {**given, **changes}


@pytest.fixture(scope="module")
def pipeline():
    return video_pipeline()


@pytest.fixture(scope="module")
def latents_of_clip(pipeline):
    return pipeline(**clip()).latents


def test_it_is_the_round_of_what_it_encodes(pipeline, latents_of_clip):
    """Scene and score as they are published: -1 ... 1, and 1 where nothing is shown, 0 where all is."""
    given = clip()
    vae = pipeline.vae
    scene = pixels(given["scene"])
    score = (1 - torch.stack(given["coverage"]))[:, None].expand_as(scene)
    told = RoundConditioning(
        text=encode_text(pipeline.tokenizer, pipeline.text_encoder, "a red room", "cpu"),
        negative_text=encode_text(pipeline.tokenizer, pipeline.text_encoder, "", "cpu"),
        history=encode_clip(vae, pixels(given["history"])),
        references=encode_singly(vae, pixels(given["references"])),
        control=torch.cat([encode_clip(vae, scene), encode_clip(vae, score)], dim=1),
    )
    assert told.history.shape == (1, 8, 2, 2, 4)
    noise = torch.randn(1, 8, 3, 2, 4, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        *_, last = sample_round(pipeline.transformer, started(unipc_scheduler(), 2), noise, told, guidance_scale=2.0)
    torch.testing.assert_close(latents_of_clip, last.latents)
    torch.testing.assert_close(latents_of_clip[:, :, :2], told.history)


def test_output(pipeline, latents_of_clip):
    output = pipeline(**clip())
    assert output.frames.shape == (FRAMES, 3, HEIGHT, WIDTH)
    assert 0 <= float(output.frames.min()) < float(output.frames.max()) <= 1
    assert output.reference_latents.shape == (1, 8, 2, 2, 4)
    assert torch.equal(output.latents, latents_of_clip)
    decoded = decode_clip(pipeline.vae, output.latents).clamp(-1, 1) / 2 + 0.5
    torch.testing.assert_close(output.frames, decoded)
    assert torch.equal(pipeline(**clip(output_type="latent")).frames, latents_of_clip)
    assert pipeline(**clip(output_type="np")).frames.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert len(pipeline(**clip(output_type="pil")).frames) == FRAMES
    assert torch.equal(pipeline(**clip(return_dict=False))[1], latents_of_clip)


def test_encoded_and_given_is_the_same(pipeline, latents_of_clip):
    given = clip()
    vae = pipeline.vae
    encoded = clip(
        scene=None,
        coverage=None,
        control=encode_control(vae, pixels(given["scene"]), torch.stack(given["coverage"])),
        history=None,
        history_latents=encode_clip(vae, pixels(given["history"])),
        references=None,
        reference_latents=encode_singly(vae, pixels(given["references"])),
    )
    torch.testing.assert_close(pipeline(**encoded).latents, latents_of_clip)
    noise = torch.randn(1, 8, 3, 2, 4, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(pipeline(**clip(latents=noise, generator=None)).latents, latents_of_clip)


@pytest.mark.parametrize(
    "changes",
    [
        {"prompt": "a garden"},
        {"negative_prompt": "the walls"},
        {"scene": pictures(FRAMES, seed=6)},
        {"coverage": None},
        {"scene": None, "coverage": None},
        {"history": pictures(5, seed=6)},
        {"history": pictures(1)},
        {"history": None},
        {"references": pictures(3)},
        {"references": None},
        {"preceding_latents": torch.randn(1, 8, 2, 2, 4), "scene": None, "coverage": None},
        {"num_inference_steps": 3},
        {"guidance_scale": 1.0},
        {"control_scale": 0.5},
        {"generator": torch.Generator().manual_seed(8)},
    ],
    ids=lambda changes: ",".join(changes),
)  # fmt: skip
def test_everything_it_is_told_counts(pipeline, latents_of_clip, changes):
    assert not torch.allclose(pipeline(**clip(**changes)).latents, latents_of_clip, atol=1e-4)


def test_without_coverage_nothing_counts_as_shown(pipeline):
    nothing = [torch.zeros(HEIGHT, WIDTH)] * FRAMES
    assert torch.equal(pipeline(**clip(coverage=None)).latents, pipeline(**clip(coverage=nothing)).latents)


def test_references_of_other_sizes(pipeline):
    given = [*pictures(1, (48, 40)), *pictures(1, (17, 90))]
    assert pipeline(**clip(references=given)).reference_latents.shape == (1, 8, 2, 2, 4)


def test_guidance_needs_two_texts(pipeline):
    calls = []
    hook = pipeline.transformer.register_forward_hook(lambda *_: calls.append(1))
    for changes in ({}, {"prompt": None}, {"negative_prompt": "a red room"}, {"guidance_scale": 1.0}):
        calls.clear()
        pipeline(**clip(**changes))
        assert len(calls) == (4 if not changes else 2), changes
    hook.remove()


def test_text_is_zero_after_its_end():
    parts = tiny_text()
    embeds = encode_text(parts["tokenizer"], parts["text_encoder"], "  a  red\n room &amp;amp; chair ", "cpu")
    assert embeds.shape == (1, MAX_TOKENS, 16)
    known = embeds[0].abs().sum(dim=-1) > 0
    assert int(known.sum()) == 5
    assert known[:5].all()
    long = encode_text(parts["tokenizer"], parts["text_encoder"], "room " * 600, "cpu")
    assert long.shape == embeds.shape


def test_embeddings_instead_of_a_prompt(pipeline, latents_of_clip):
    embeds = encode_text(pipeline.tokenizer, pipeline.text_encoder, "a red room", "cpu")
    assert torch.equal(pipeline(**clip(prompt=None, prompt_embeds=embeds)).latents, latents_of_clip)


def test_embeddings_without_a_text_encoder():
    silent = video_pipeline(text=False)
    g = torch.Generator().manual_seed(1)
    one, other = (torch.randn(1, 3, 16, generator=g) for _ in range(2))
    expected = silent(**clip(prompt=None)).latents
    found = silent(**clip(prompt=None, prompt_embeds=one)).latents
    assert not torch.allclose(found, expected, atol=1e-4)
    guided = silent(**clip(prompt=None, prompt_embeds=one, negative_prompt_embeds=other)).latents
    assert not torch.allclose(guided, found, atol=1e-4)


def test_callback_and_interrupt(pipeline, latents_of_clip):
    seen = []

    def callback(pipe, index, timestep, tensors):
        seen.append((index, int(timestep), tensors["latents"].clone()))
        pipe.interrupt = index == 0
        return tensors

    output = pipeline(**clip(callback_on_step_end=callback, num_inference_steps=3))
    assert [index for index, *_ in seen] == [0]
    assert torch.equal(output.latents, seen[0][2])
    assert torch.equal(pipeline(**clip()).latents, latents_of_clip)


def test_what_a_callback_raises_ends_the_call(pipeline, latents_of_clip):
    def stop(*_):
        raise CancelledError("enough")

    with pytest.raises(CancelledError, match="enough"):
        pipeline(**clip(callback_on_step_end=stop))
    assert torch.equal(pipeline(**clip()).latents, latents_of_clip)


@pytest.mark.parametrize("make", [video_pipeline, picture_pipeline])
def test_round_trip(tmp_path, make):
    pipeline = make(max_references=3, prompt_suffix=" nice", max_side=64)
    given = clip(prompt="a garden" if pipeline.text_encoder is not None else None)
    expected = pipeline(**given).latents
    pipeline.save_pretrained(tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} <= {".json", ".safetensors", ".jinja"}
    again = SceneWanPipeline.from_pretrained(tmp_path)
    again.set_progress_bar_config(disable=True)
    assert (again.config.max_references, again.config.prompt_suffix, again.config.max_side) == (3, " nice", 64)
    assert (again.rounds, again.sampling_defaults) == (pipeline.rounds, pipeline.sampling_defaults)
    torch.testing.assert_close(again(**clip(prompt=given["prompt"])).latents, expected, rtol=0, atol=1e-5)


def test_euler(pipeline, latents_of_clip):
    other = SceneWanPipeline(**{**pipeline.components, "scheduler": euler_scheduler()})
    other.set_progress_bar_config(disable=True)
    found = other(**clip(num_inference_steps=2, guidance_scale=2.0)).latents
    assert torch.isfinite(found).all()
    assert not torch.allclose(found, latents_of_clip, atol=1e-4)


def test_bfloat16(tmp_path, pipeline, latents_of_clip):
    pipeline.save_pretrained(tmp_path)
    half = SceneWanPipeline.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    half.set_progress_bar_config(disable=True)
    assert half.transformer.dtype == half.vae.dtype == torch.bfloat16
    found = half(**clip()).latents
    assert found.dtype == torch.float32
    difference = (found - latents_of_clip).abs().mean() / latents_of_clip.abs().mean()
    assert difference < 0.05


def test_pictures_one_by_one():
    """A latent frame for each picture: the package's own autoencoder, any number of frames, no text."""
    pipeline = picture_pipeline()
    given = clip(prompt=None, num_frames=4, scene=pictures(4), coverage=None, history=pictures(3, seed=4))
    output = pipeline(**given)
    assert output.latents.shape == (1, 8, 4, 4, 8)
    assert output.frames.shape == (4, 3, HEIGHT, WIDTH)
    torch.testing.assert_close(output.latents[:, :, :3], encode_clip(pipeline.vae, pixels(given["history"])))


def wrong(**parts):
    text = tiny_text()
    made = {"transformer": tiny_transformer(), "vae": tiny_video_vae(), "scheduler": unipc_scheduler(), **text}
    return lambda: SceneWanPipeline(**{**made, **parts})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (wrong(vae=tiny_video_vae(channels=6)), "a vae with 6 latent channels needs"),
        (wrong(transformer=tiny_transformer(vace_in_channels=24)), "vace_in_channels 16"),
        (wrong(vae=tiny_picture_vae(channels=4)), "a vae with 4 latent channels needs"),
        (wrong(tokenizer=None), "text_encoder and tokenizer belong together"),
        (wrong(**tiny_text(width=24)), "embeddings of 24"),
        (wrong(sampling={"steps": 3}), "sampling has no field steps"),
        (wrong(sampling={"num_inference_steps": 0}), "num_inference_steps must be"),
        (wrong(sampling={"guidance_scale": float("inf")}), "guidance_scale must be"),
        (wrong(rounds={"length": 3}), "rounds have no field length"),
        (wrong(rounds={"first": 8}), "first must be 4 k"),
    ],
)
def test_parts_that_do_not_fit(make, message):
    with pytest.raises(ModelError, match=message):
        make()


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"height": 48}, InvalidImageError, "height and width must be multiples of 32"),
        ({"num_frames": 8}, ModelError, r"num_frames must be 4 k \+ 1"),
        ({"scene": pictures(8)}, ModelError, "scene and coverage must have 9 entries"),
        ({"scene": pictures(9, (16, 64))}, InvalidImageError, r"scene\[0\] must be \[32, 64\]"),
        ({"coverage": [torch.zeros(32, 32)] * 9}, InvalidImageError, r"coverage\[0\] must be"),
        ({"scene": None}, ModelError, "give the scene, too"),
        ({"control": torch.zeros(1, 16, 3, 2, 4)}, ModelError, "scene and control are given"),
        ({"scene": None, "coverage": None, "control": torch.zeros(1, 16, 4, 2, 4)}, ModelError, "control must be"),
        ({"history": pictures(4)}, ModelError, "history must be 4 k"),
        ({"history": pictures(9)}, ModelError, "nothing is left to draw"),
        ({"history_latents": torch.zeros(1, 8, 1, 2, 4)}, ModelError, "history are given as pictures and as latents"),
        ({"references": None, "reference_latents": torch.zeros(2, 8, 2, 4)}, ModelError, "reference_latents must be"),
        ({"references": None, "reference_latents": torch.full((1, 8, 1, 2, 4), torch.nan)}, ModelError, "finite"),
        ({"preceding_latents": torch.zeros(1, 8, 1, 2, 4)}, ModelError, "need a control of latents"),
        ({"prompt_embeds": torch.zeros(1, 3, 16)}, ModelError, "leave one of them out"),
        ({"prompt": None, "prompt_embeds": torch.zeros(1, 3, 15)}, ModelError, "prompt_embeds must be"),
        ({"output_type": "video"}, ModelError, "output_type must be one of"),
        ({"callback_on_step_end_tensor_inputs": ("flow",)}, ModelError, "may contain latents"),
        ({"num_inference_steps": 0}, ModelError, "num_inference_steps must be"),
        ({"guidance_scale": -1.0}, ModelError, "guidance_scale must be"),
        ({"latents": torch.zeros(1, 8, 3, 2, 2)}, ModelError, "latents must be"),
        ({"history": [torch.zeros(4, 4)]}, InvalidImageError, "history"),
        ({"references": [torch.zeros(3, 32, 64)]}, InvalidImageError, "references"),
    ],
)  # fmt: skip
def test_arguments_that_do_not_fit(pipeline, changes, error, message):
    """All are found before any work."""
    worked = []
    hooks = [
        part.register_forward_hook(lambda *_: worked.append(1)) for part in (pipeline.transformer, pipeline.vae.encoder)
    ]
    with pytest.raises(error, match=message):
        pipeline(**clip(**changes))
    for hook in hooks:
        hook.remove()
    assert not worked


def test_a_prompt_without_a_text_encoder():
    with pytest.raises(ModelError, match="no text encoder"):
        video_pipeline(text=False)(**clip())
