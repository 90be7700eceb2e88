"""Models of the real classes in sizes of a few hundred kilobytes, with random weights."""

from __future__ import annotations

import torch
from diffusers import AutoencoderKL
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from vmem_ros.generation import MultiviewUNet, VMemPipeline
from vmem_ros.generation.vmem.schedules import published_scheduler

UNET = {
    "model_channels": 32,
    "channel_mult": (1, 2),
    "transformer_depth": (1, 1),
    "attention_resolutions": (2, 1),
    "num_res_blocks": 1,
    "num_head_channels": 16,
    "context_dim": 48,
}


def tiny_unet(seed: int = 0, **config: object) -> MultiviewUNet:
    """Return a denoiser for latents whose sides are multiples of 2, whose output depends on all it is told."""
    torch.manual_seed(seed)
    return MultiviewUNet(**{**UNET, **config}).eval().requires_grad_(False)


def tiny_vae(seed: int = 0) -> AutoencoderKL:
    """Return an autoencoder with four latent channels and a factor of 8."""
    torch.manual_seed(seed)
    model = AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=4,
        scaling_factor=0.18215,
    )
    return model.eval().requires_grad_(False)


def tiny_image_encoder(seed: int = 0, *, projection_dim: int = 48) -> CLIPVisionModelWithProjection:
    """Return an image encoder with the input size of CLIP."""
    torch.manual_seed(seed)
    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        projection_dim=projection_dim,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=224,
        patch_size=56,
    )
    return CLIPVisionModelWithProjection(config).eval().requires_grad_(False)


def tiny_pipeline(seed: int = 0) -> VMemPipeline:
    """Return a pipeline of the models above; images have sides that are multiples of 16."""
    return VMemPipeline(tiny_unet(seed), tiny_vae(seed), tiny_image_encoder(seed), published_scheduler())


def tiny_projecting_pipeline(hole_filling: str = "smooth") -> VMemPipeline:
    """Return a tiny pipeline that listens to projections and draws in one step."""
    unet = tiny_unet(projection_channels=5)
    torch.manual_seed(1)
    torch.nn.init.normal_(unet.projection_in.weight, std=0.3)
    sampling = {"sampler": "fast", "num_inference_steps": 1, "guidance_scale": 1.0}
    return VMemPipeline(unet, tiny_vae(), None, published_scheduler(), sampling=sampling, hole_filling=hole_filling)
