"""Wrong calls of the pipeline, and parts that do not fit: a named error before any work."""

import math

import pytest
import torch

from chunks import CAMERA, HEIGHT, WIDTH, chunk, tiny_pipeline
from tiny_models import tiny_image_encoder, tiny_unet
from vmem_ros.errors import InvalidCameraError, InvalidImageError, InvalidPoseError, ModelError
from vmem_ros.generation.vmem.schedules import published_betas, published_scheduler
from vmem_ros.types import Projection


@pytest.fixture(scope="module")
def pipeline():
    """A pipeline none of whose networks can run."""

    def refuse(*_):
        raise AssertionError("work began before the inputs were checked")

    made = tiny_pipeline()
    for network in (made.unet, made.vae.encoder, made.vae.decoder, made.image_encoder):
        network.register_forward_pre_hook(refuse)
    made.unet.time_embed.register_forward_pre_hook(refuse)
    return made


SHOWN = Projection(
    torch.zeros(HEIGHT, WIDTH, 3, dtype=torch.uint8),
    torch.ones(HEIGHT, WIDTH),
    torch.ones(HEIGHT, WIDTH, dtype=torch.bool),
    torch.zeros(HEIGHT, WIDTH, dtype=torch.int64),
    torch.ones(HEIGHT, WIDTH),
)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (ModelError, "no reference images", {"reference_images": []}),
        (ModelError, "no targets", {"target_cameras": []}),
        (ModelError, "got 2 images, 1 cameras and 2 poses", {"reference_cameras": [CAMERA]}),
        (ModelError, "got 2 images, 2 cameras and 1 poses", {"reference_poses": [torch.eye(4)]}),
        (ModelError, "got 3 cameras and 0 poses", {"target_poses": []}),
        (InvalidImageError, r"reference_images\[0\] must be uint8", {"reference_images": torch.rand(2, 32, 48, 3)}),
        (
            InvalidCameraError,
            r"reference_images\[0\] is 48 x 32 but its intrinsics are for 24 x 16",
            {"reference_cameras": [CAMERA.resized(24, 16)] * 2},
        ),
        (InvalidPoseError, "target_poses", {"target_poses": [2 * torch.eye(4)] * 3}),
        (InvalidPoseError, "reference_poses", {"reference_poses": [torch.full((4, 4), math.nan)] * 2}),
        (InvalidImageError, "multiples of 16 for this model, got 40 x 48", {"height": 40}),
        (InvalidImageError, "multiples of 16 for this model, got 32 x 0", {"width": 0}),
        (ModelError, "num_inference_steps must be 1 to 1000 .* got 0", {"num_inference_steps": 0}),
        (ModelError, "sampler must be one of published, fast, got 'ddim'", {"sampler": "ddim"}),
        (ModelError, "sampler must be one of", {"sampler": "ddim", "num_inference_steps": None}),
        (ModelError, r"low <= high, got \(5, 1\)", {"guidance_interval": (5, 1)}),
        (ModelError, "guidance_scale must be .* got nan", {"guidance_scale": math.nan}),
        (ModelError, "guidance_min must be .* got -1", {"guidance_min": -1}),
        (ModelError, "camera_scale must be .* got 0", {"camera_scale": 0}),
        (ModelError, r"reference_latents must have 2 entries", {"reference_latents": [None]}),
        (ModelError, r"reference_latents\[1\] must be", {"reference_latents": [None, torch.zeros(4, 4, 4)]}),
        (
            ModelError,
            r"reference_embeddings\[0\] must be .* got torch.int64",
            {"reference_embeddings": torch.ones(2, 48).long()},
        ),
        (
            ModelError,
            r"noise of unit variance \[5, 4, 4, 6\], .* got \[4, 4, 4, 6\]",
            {"latents": torch.ones(4, 4, 4, 6)},
        ),
        (ModelError, "latents must be finite", {"latents": torch.full((5, 4, 4, 6), math.inf)}),
        (ModelError, "reference_depths must have 2 entries", {"reference_depths": [None]}),
        (
            ModelError,
            r"reference_depths\[1\] must have the size of its image, \[32, 48\], got \[48, 32\]",
            {"reference_depths": [None, torch.ones(48, 32)]},
        ),
        (ModelError, "takes no projections, got 3", {"projections": [SHOWN] * 3}),
        (ModelError, "output_type must be one of pt, np, pil, latent, got 'jpeg'", {"output_type": "jpeg"}),
        (ModelError, "may contain latents, clean_latents, got eps", {"callback_on_step_end_tensor_inputs": ["eps"]}),
    ],
)
def test_wrong_call(pipeline, error, message, options):
    with pytest.raises(error, match=message):
        pipeline(**chunk(**options))


@pytest.mark.parametrize("given", [None, [SHOWN]])
def test_a_network_that_needs_projections_says_so(given):
    pipeline = tiny_pipeline(unet=tiny_unet(projection_channels=5))
    with pytest.raises(ModelError, match=r"needs 3 projections, one per target, got [01]"):
        pipeline(**chunk(projections=given))


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ("needs a unet with 11 channels in and 4 out, this one has 12 and 4", {"unet": {"in_channels": 12}}),
        ("must be 0 or 5 .* got 3", {"unet": {"projection_channels": 3}}),
        ("embeddings of 32, the unet takes 48", {"image_encoder": {"projection_dim": 32}}),
    ],
)
def test_parts_that_do_not_fit(message, parts):
    make = {"unet": tiny_unet, "image_encoder": tiny_image_encoder}
    with pytest.raises(ModelError, match=message):
        tiny_pipeline(**{name: make[name](**config) for name, config in parts.items()})


def test_a_scheduler_of_another_prediction():
    scheduler = type(published_scheduler())(trained_betas=published_betas(), prediction_type="flow_prediction")
    message = (
        "predict epsilon or v_prediction or sample, got EulerDiscreteScheduler with prediction_type=flow_prediction"
    )
    with pytest.raises(ModelError, match=message):
        tiny_pipeline(scheduler=scheduler)
