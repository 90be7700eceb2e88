"""Pipelines of diffusers with parts of the real classes in sizes of a few hundred kilobytes, and random weights."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    AutoencoderKLWan,
    DDIMScheduler,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinInpaintPipeline,
    Flux2Transformer2DModel,
    FluxFillPipeline,
    FluxTransformer2DModel,
    StableDiffusionInpaintPipeline,
    UNet2DConditionModel,
    UniPCMultistepScheduler,
    WanVACEPipeline,
    WanVACETransformer3DModel,
)
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
    T5Config,
    T5EncoderModel,
)

from wan_pipelines import WORDS, tiny_text

_CHAT = "{% for m in messages %}{{ m['content'] }} {% endfor %}"


def tiny_klein(*, distilled: bool = True, seed: int = 0) -> Flux2KleinInpaintPipeline:
    """Return FLUX.2 klein for inpainting; pictures have sides that are multiples of 16."""
    torch.manual_seed(seed)
    vae = AutoencoderKLFlux2(
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )
    transformer = Flux2Transformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=48,
        timestep_guidance_channels=256,
        axes_dims_rope=(4, 4, 4, 4),
        guidance_embeds=False,
    )
    text_encoder = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=64,
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=28,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=8,
            tie_word_embeddings=True,
        )
    )
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    pipeline = Flux2KleinInpaintPipeline(
        scheduler, vae, text_encoder, _qwen_tokenizer(), transformer, is_distilled=distilled
    )
    return _ready(pipeline)


def tiny_stable_diffusion(*, channels: int = 9, seed: int = 0) -> StableDiffusionInpaintPipeline:
    """Return Stable Diffusion for inpainting, with its nine channels or with four; without a safety checker."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(8, 16),
        layers_per_block=1,
        in_channels=channels,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=4,
    )
    pipeline = StableDiffusionInpaintPipeline(
        vae=_picture_vae(),
        text_encoder=_clip(16),
        tokenizer=_clip_tokenizer(),
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    return _ready(pipeline)


def tiny_flux(kind: type[DiffusionPipeline], *, seed: int = 0) -> Any:
    """Return a pipeline of FLUX.1 for inpainting; that of FLUX.1 Fill sees picture and mask, too."""
    torch.manual_seed(seed)
    seen = 16 + 256 if kind is FluxFillPipeline else 0
    transformer = FluxTransformer2DModel(
        in_channels=16 + seen,
        out_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    vae = _picture_vae(use_quant_conv=False, use_post_quant_conv=False, shift_factor=0.06, scaling_factor=1.5)
    words = T5Config(vocab_size=64, d_model=32, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    pipeline = kind(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=vae,
        text_encoder=_clip(32),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=T5EncoderModel(words),
        tokenizer_2=tiny_text(32, seed)["tokenizer"],
        transformer=transformer,
    )
    return _ready(pipeline)


def tiny_vace(*, seed: int = 0, **parts: Any) -> WanVACEPipeline:
    """Return Wan 2.1 VACE; pictures have sides that are multiples of 16, clips of 4 k + 1 frames."""
    torch.manual_seed(seed)
    vae = AutoencoderKLWan(
        base_dim=3, z_dim=16, dim_mult=[1] * 4, num_res_blocks=1, temperal_downsample=[False, True, True]
    )
    transformer = WanVACETransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        text_dim=32,
        freq_dim=32,
        ffn_dim=32,
        num_layers=3,
        vace_layers=[0, 2],
        in_channels=16,
        out_channels=16,
        vace_in_channels=96,
    )
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    chosen = {"vae": vae, "transformer": transformer, "scheduler": scheduler, **tiny_text(32, seed), **parts}
    return _ready(WanVACEPipeline(**chosen))


def _ready(pipeline: Any) -> Any:
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval().requires_grad_(False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def _picture_vae(**config: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(4, 4, 4, 4),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        **config,
    )


def _clip(width: int) -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=64, hidden_size=width, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=16, bos_token_id=0, eos_token_id=1, pad_token_id=1, projection_dim=width,
    )  # fmt: skip
    return CLIPTextModel(config)


def _words(*special: str) -> dict[str, int]:
    return {name: index for index, name in enumerate((*special, *WORDS))}


def _qwen_tokenizer() -> Any:
    words = Tokenizer(WordLevel(_words("<|endoftext|>", "<unk>"), unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<|endoftext|>", eos_token="<|endoftext|>", unk_token="<unk>"
    )
    tokenizer.chat_template = _CHAT
    return tokenizer


def _clip_tokenizer() -> Any:
    words = Tokenizer(WordLevel(_words("<s>", "</s>", "<unk>"), unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=words, bos_token="<s>", eos_token="</s>", pad_token="</s>", unk_token="<unk>",
        model_max_length=16,
    )  # fmt: skip
