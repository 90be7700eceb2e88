"""Pipelines of the video network with parts of the real classes in sizes of a few hundred kilobytes."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLWan
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from vmem_ros.generation.vmem.patch_autoencoder import PatchAutoencoder
from vmem_ros.generation.wan import SceneWanPipeline
from vmem_ros.generation.wan.schedules import unipc_scheduler
from wan_networks import tiny_transformer

WORDS = ("a", "the", "room", "garden", "red", "with", "chair", "walls", "4K", ",", ".", "realistic")


def tiny_video_vae(seed: int = 0, channels: int = 8) -> AutoencoderKLWan:
    """Return an autoencoder of the 2.2 type: a latent frame for four pictures, 16 times smaller."""
    torch.manual_seed(seed)
    vae = AutoencoderKLWan(
        base_dim=3,
        decoder_base_dim=3,
        z_dim=channels,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        latents_mean=[0.1 * i for i in range(channels)],
        latents_std=[1 + 0.1 * i for i in range(channels)],
    )
    return vae.eval().requires_grad_(False)


def tiny_picture_vae(channels: int = 8) -> PatchAutoencoder:
    """Return the package's own autoencoder of single pictures, 8 times smaller."""
    vae = PatchAutoencoder(patch=8, latent_channels=channels, widths=(8, 8), blocks=(1, 1))
    vae.fit(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    return vae.eval().requires_grad_(False)


def tiny_text(width: int = 16, seed: int = 0) -> dict[str, Any]:
    """Return a text encoder and its tokenizer, which knows a dozen words."""
    torch.manual_seed(seed)
    config = UMT5Config(
        vocab_size=32, d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=0
    )
    vocabulary = {name: index for index, name in enumerate(("<pad>", "</s>", "<unk>", *WORDS))}
    words = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", padding_side="right"
    )
    return {"text_encoder": UMT5EncoderModel(config).eval().requires_grad_(False), "tokenizer": tokenizer}


def video_pipeline(*, text: bool = True, seed: int = 0, **options: Any) -> SceneWanPipeline:
    """Return a pipeline with a video autoencoder; pictures have sides that are multiples of 32."""
    chosen = {
        "rounds": {"first": 9, "later": 9, "history": 5},
        "sampling": {"num_inference_steps": 2, "guidance_scale": 2.0},
        **options,
    }
    pipeline = SceneWanPipeline(
        tiny_transformer(seed), tiny_video_vae(seed), unipc_scheduler(), **(tiny_text() if text else {}), **chosen
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def picture_pipeline(seed: int = 0, **options: Any) -> SceneWanPipeline:
    """Return one of pictures without text, as small networks of the houses are; sides are multiples of 16."""
    chosen = {
        "rounds": {"first": 5, "later": 5, "history": 2},
        "sampling": {"num_inference_steps": 2, "guidance_scale": 1.0},
        **options,
    }
    pipeline = SceneWanPipeline(tiny_transformer(seed, text_dim=1), tiny_picture_vae(), unipc_scheduler(), **chosen)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
