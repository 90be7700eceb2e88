"""The pipeline with tiny models of the real classes: what a call does, step by step, and what it leaves out."""

import contextlib

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from PIL import Image

from chunks import CAMERA, HEIGHT, REFERENCES, TARGETS, WIDTH, chunk, tiny_pipeline
from tiny_models import tiny_unet
from vmem_ros.generation.resizing import resize_image
from vmem_ros.generation.vmem.caching import TaylorCache
from vmem_ros.generation.vmem.conditioning import normalise_poses
from vmem_ros.generation.vmem.schedules import noise_levels, published_timesteps
from vmem_ros.geometry import Camera, plucker_rays
from vmem_ros.types import Projection

LATENT = (4, HEIGHT // 8, WIDTH // 8)


@pytest.fixture(scope="module")
def pipeline():
    return tiny_pipeline()


@contextlib.contextmanager
def batches(*modules):
    """Yield the batch sizes of everything that goes through some modules."""
    seen = []

    def note(_module, arguments, keywords):
        first = arguments[0] if arguments else next(iter(keywords.values()))
        seen.append(len(first))

    hooks = [module.register_forward_pre_hook(note, with_kwargs=True) for module in modules]
    yield seen
    for hook in hooks:
        hook.remove()


def test_what_comes_out(pipeline):
    out = pipeline(**chunk())
    assert out.images.shape == (TARGETS, 3, HEIGHT, WIDTH)
    assert out.images.dtype == torch.float32
    assert 0 <= out.images.min() < out.images.max() <= 1
    assert out.latents.shape == (TARGETS, *LATENT)
    assert out.reference_latents.shape == (REFERENCES, *LATENT)
    assert out.embeddings.shape == (TARGETS, 48)
    assert out.reference_embeddings.shape == (REFERENCES, 48)


def test_output_types(pipeline):
    images = pipeline(**chunk()).images
    as_numpy = pipeline(**chunk(output_type="np")).images
    np.testing.assert_array_equal(as_numpy, images.permute(0, 2, 3, 1).numpy())
    as_pil = pipeline(**chunk(output_type="pil")).images
    assert [type(image) for image in as_pil] == [Image.Image] * TARGETS
    np.testing.assert_array_equal(np.asarray(as_pil[0]), (as_numpy[0] * 255).round().astype(np.uint8))
    with batches(pipeline.vae.decoder) as decoded:
        raw = pipeline(**chunk(output_type="latent"))
    assert torch.equal(raw.images, raw.latents)
    assert raw.embeddings is None
    assert not decoded
    assert torch.equal(pipeline(**chunk(return_dict=False))[0], images)


def test_seeds(pipeline):
    def images(seed):
        return pipeline(**chunk(generator=torch.Generator().manual_seed(seed))).images

    assert torch.equal(images(1), images(1))
    assert not torch.equal(images(1), images(2))
    noise = torch.randn(REFERENCES + TARGETS, *LATENT, generator=torch.Generator().manual_seed(1))
    assert torch.equal(pipeline(**chunk(generator=None, latents=noise)).images, images(1))


@torch.no_grad()
def written_out(pipeline, arguments, scales):
    """Yield the running latents after each step of the published sampler, from its formulas alone."""
    references, targets, (height, width) = REFERENCES, TARGETS, LATENT[1:]
    frames = references + targets
    images = torch.stack(arguments["reference_images"]).permute(0, 3, 1, 2) / 127.5 - 1
    given = pipeline.vae.encode(images).latent_dist.mean * 0.18215
    clean = torch.cat([given, torch.zeros(targets, *LATENT)])
    mask = torch.zeros(frames, 1, height, width)
    mask[:references] = 1
    poses = normalise_poses(torch.stack([*arguments["reference_poses"], *arguments["target_poses"]]))
    rays = plucker_rays([CAMERA] * frames, poses, height=height, width=width).float()
    token = pipeline(**arguments).reference_embeddings.mean(dim=0).expand(frames, 1, -1)
    table = noise_levels(pipeline.scheduler)
    steps = published_timesteps(arguments["num_inference_steps"])
    sigmas = [*table[steps].tolist(), 0.0]
    x = torch.randn(frames, *LATENT, generator=torch.Generator().manual_seed(7)) * (sigmas[0] ** 2 + 1) ** 0.5
    for index, sigma, following in zip(steps, sigmas, sigmas[1:], strict=False):
        halves = torch.stack([x, torch.where(mask > 0, clean, x)])
        concat = torch.stack([torch.cat([mask * half, rays], dim=1) for half in (0, 1)])
        noise = pipeline.unet(
            torch.cat([halves / (sigma**2 + 1) ** 0.5, concat], dim=2).flatten(0, 1),
            torch.full((2 * frames,), index),
            torch.cat([torch.zeros_like(token), token]),
            rays.repeat(2, 1, 1, 1),
            frames,
        ).sample
        without, with_ = halves - sigma * noise.view_as(halves)
        estimate = without + torch.tensor(scales)[:, None, None, None] * (with_ - without)
        x = x + (following - sigma) * (x - estimate) / sigma
        yield x


def test_a_chunk_step_by_step(pipeline):
    found = []

    def keep(_pipeline, _index, _timestep, tensors):
        found.append(tensors["latents"])
        return tensors

    out = pipeline(**chunk(num_inference_steps=6, callback_on_step_end=keep))
    # The first target is the first reference seen again, which guidance treats like a reference.
    expected = list(written_out(pipeline, chunk(num_inference_steps=6), [1.2, 1.2, 1.2, 2.0, 2.0]))
    assert len(found) == 6
    for latents, reference in zip(found, expected, strict=True):
        torch.testing.assert_close(latents, reference, rtol=2e-5, atol=2e-4)
    assert torch.equal(out.latents, found[-1][REFERENCES:])


@pytest.mark.parametrize(("references", "targets"), [(1, 7), (4, 1)])
def test_any_number_of_frames(pipeline, references, targets):
    with batches(pipeline.unet) as seen:
        out = pipeline(**chunk(references, targets, num_inference_steps=1))
    assert len(out.images) == targets
    assert seen == [2 * (references + targets)]


def test_guidance_is_paid_for_where_it_applies(pipeline):
    frames = REFERENCES + TARGETS

    def seen(**options):
        with batches(pipeline.unet) as sizes:
            pipeline(**chunk(sampler="fast", num_inference_steps=4, **options))
        return sizes

    assert seen() == [2 * frames] * 4
    assert seen(guidance_scale=1.0) == [frames] * 4
    # Noise levels 84.9, 12.2, 1.75, 0.25.
    assert seen(guidance_interval=(1, 20)) == [frames, 2 * frames, 2 * frames, frames]


def test_default_steps(pipeline):
    for sampler, steps in (("published", 50), ("fast", 15)):
        with batches(pipeline.unet) as seen:
            pipeline(**chunk(1, 1, sampler=sampler, num_inference_steps=None, guidance_scale=1.0))
        assert len(seen) == steps


def test_encodings_may_be_passed_back(pipeline):
    first = pipeline(**chunk())
    cached = {"reference_latents": first.reference_latents, "reference_embeddings": first.reference_embeddings}
    with batches(pipeline.vae.encoder, pipeline.image_encoder) as seen:
        again = pipeline(**chunk(**cached))
    # Only the embeddings of the new images are computed.
    assert seen == [TARGETS]
    assert torch.equal(again.images, first.images)
    some = {name: [encodings[0], None] for name, encodings in cached.items()}
    with batches(pipeline.vae.encoder, pipeline.image_encoder) as seen:
        mixed = pipeline(**chunk(**some))
    assert seen == [1, 1, TARGETS]
    torch.testing.assert_close(mixed.reference_latents, first.reference_latents)


def test_only_new_frames_are_decoded(pipeline):
    with batches(pipeline.vae.decoder) as seen:
        pipeline(**chunk())
    assert seen == [TARGETS]


def test_callback(pipeline):
    calls = []

    def note(caller, index, timestep, tensors):
        assert caller is pipeline
        calls.append((index, int(timestep), sorted(tensors)))
        return {}

    names = ("latents", "clean_latents")
    pipeline(**chunk(callback_on_step_end=note, callback_on_step_end_tensor_inputs=names))
    assert calls == [(i, t, sorted(names)) for i, t in enumerate(published_timesteps(3))]


def test_a_callback_may_change_the_latents(pipeline):
    def reset(_pipeline, index, _timestep, tensors):
        return {"latents": torch.zeros_like(tensors["latents"])} if index == 2 else tensors

    assert not pipeline(**chunk(callback_on_step_end=reset)).latents.any()


def test_interrupt(pipeline):
    estimates = []

    def stop(caller, index, _timestep, tensors):
        estimates.append(tensors["clean_latents"])
        caller.interrupt = index == 1
        return {}

    options = {"callback_on_step_end": stop, "callback_on_step_end_tensor_inputs": ["clean_latents"]}
    with batches(pipeline.unet) as seen:
        out = pipeline(**chunk(num_inference_steps=5, **options))
    assert len(seen) == 2
    assert pipeline.interrupt
    assert torch.equal(out.latents, estimates[1][REFERENCES:])
    with batches(pipeline.unet) as seen:
        pipeline(**chunk())
    assert len(seen) == 3


def test_what_a_callback_raises_ends_the_call(pipeline):
    expected = pipeline(**chunk()).images

    def cancel(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), batches(pipeline.unet) as seen:
        pipeline(**chunk(callback_on_step_end=cancel))
    assert len(seen) == 1
    assert torch.equal(pipeline(**chunk()).images, expected)


def test_references_are_resized(pipeline):
    arguments = chunk()
    large = [image.repeat_interleave(4, 0).repeat_interleave(4, 1) for image in arguments["reference_images"]]
    cameras = [CAMERA.resized(4 * WIDTH, 4 * HEIGHT)] * REFERENCES
    found = pipeline(**{**arguments, "reference_images": large, "reference_cameras": cameras})
    resized = [resize_image(image, (HEIGHT, WIDTH)) for image in large]
    assert torch.equal(found.images, pipeline(**chunk(reference_images=resized)).images)


def test_a_wide_target_camera_changes_the_picture(pipeline):
    wide = chunk(target_cameras=[Camera.from_fov(WIDTH, HEIGHT, 100)] * TARGETS)
    assert not torch.allclose(pipeline(**wide).images, pipeline(**chunk()).images)


def test_without_an_image_encoder():
    pipeline = tiny_pipeline(image_encoder=None)
    out = pipeline(**chunk())
    assert out.embeddings is None
    assert out.reference_embeddings is None
    assert out.images.isfinite().all()


def test_an_autoencoder_without_a_distribution():
    torch.manual_seed(0)
    channels = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
    blocks = {"num_encoder_blocks": (1,) * 4, "num_decoder_blocks": (1,) * 4}
    vae = AutoencoderTiny(**channels, **blocks).eval()
    out = tiny_pipeline(vae=vae)(**chunk())
    images = torch.stack(chunk()["reference_images"]).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        torch.testing.assert_close(out.reference_latents, vae.encode(images).latents)
        torch.testing.assert_close(out.images, (vae.decode(out.latents).sample / 2 + 0.5).clamp(0, 1))


def test_a_network_in_bfloat16_keeps_its_latents_in_float32():
    exact = tiny_pipeline()(**chunk())
    short = tiny_pipeline(unet=tiny_unet().to(torch.bfloat16))
    found = []

    def keep(_pipeline, _index, _timestep, tensors):
        found.extend(tensors.values())
        return tensors

    out = short(**chunk(callback_on_step_end=keep))
    assert {tensor.dtype for tensor in [*found, out.latents, out.images]} == {torch.float32}
    assert (out.latents - exact.latents).abs().max() < 0.05 * exact.latents.std()
    assert not torch.equal(out.latents, exact.latents)


def test_the_published_offset_is_part_of_the_pipeline():
    arguments = chunk()
    images = [tiny_pipeline(published_offset=offset)(**arguments).images for offset in (False, True)]
    assert not torch.equal(*images)


def test_extrapolated_steps_cost_nothing(pipeline):
    with batches(pipeline.unet) as seen:
        out = pipeline(**chunk(num_inference_steps=10, cache=TaylorCache(interval=2)))
    assert 5 <= len(seen) < 8
    assert out.images.isfinite().all()


def test_model_offloading_names_every_network(pipeline):
    networks = {name for name, part in pipeline.components.items() if isinstance(part, torch.nn.Module)}
    assert set(pipeline.model_cpu_offload_seq.split("->")) == networks


class TestProjections:
    """A network that also sees what memory shows at the targets."""

    @staticmethod
    def projections(seed=0, seen=None):
        g = torch.Generator().manual_seed(seed)
        image = torch.randint(0, 256, (HEIGHT, WIDTH, 3), dtype=torch.uint8, generator=g)
        seen = torch.ones(HEIGHT, WIDTH, dtype=torch.bool) if seen is None else seen
        depth = torch.ones(HEIGHT, WIDTH)
        return [Projection(image, depth, seen, torch.zeros(HEIGHT, WIDTH, dtype=torch.int64), depth)] * TARGETS

    @staticmethod
    def trained():
        unet = tiny_unet(projection_channels=5)
        torch.nn.init.normal_(unet.projection_in.weight, std=0.1)
        return unet

    def test_untrained_they_change_nothing(self, pipeline):
        unet = tiny_unet(projection_channels=5)
        unet.load_state_dict(pipeline.unet.state_dict(), strict=False)
        found = tiny_pipeline(unet=unet)(**chunk(projections=self.projections()))
        torch.testing.assert_close(found.latents, pipeline(**chunk()).latents)

    def test_trained_they_matter(self):
        pipeline = tiny_pipeline(unet=self.trained())
        latents = [pipeline(**chunk(projections=self.projections(seed))).latents for seed in (0, 1)]
        assert not torch.allclose(*latents)

    def test_holes_have_no_colour(self):
        pipeline = tiny_pipeline(unet=self.trained())
        seen = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
        blank = [pipeline(**chunk(projections=self.projections(seed, seen))).latents for seed in (0, 1)]
        assert torch.equal(*blank)
        seen[:, : WIDTH // 2] = True
        half = pipeline(**chunk(projections=self.projections(0, seen))).latents
        assert not torch.allclose(half, blank[0])

    def test_a_projection_of_another_size_is_resized(self):
        pipeline = tiny_pipeline(unet=self.trained())
        large = [
            Projection(*(m.repeat_interleave(2, 0).repeat_interleave(2, 1) for m in vars(p).values() if m is not None))
            for p in self.projections()
        ]
        assert pipeline(**chunk(projections=large)).images.shape == (TARGETS, 3, HEIGHT, WIDTH)
