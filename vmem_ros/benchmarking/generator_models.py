"""Generators of the published class in three sizes, with random weights: what they draw is noise, its cost is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from vmem_ros.generation.vmem.conditioning import Conditioning, normalise_poses
from vmem_ros.generation.vmem.network import MultiviewUNet
from vmem_ros.geometry import Camera, look_at

FOV_DEG = 75
# Image pixels per latent pixel, of every autoencoder here.
_DOWNSAMPLING = 8
_LATENT_CHANNELS = 4


@dataclass(frozen=True, kw_only=True)
class Size:
    """A generator and the chunk it draws.

    :param side: of the images, in pixels; they are square.
    :param references: given frames of a chunk, K.
    :param targets: new frames of a chunk, M.
    :param unet: arguments of ``MultiviewUNet``; by default the published network.
    :param vae_widths: channels of the autoencoder's four levels.
    :param vae_blocks: blocks in each of them.
    :param image_encoder: arguments of the configuration of CLIP's vision tower; ``None``: nothing
        is embedded.
    """

    name: str
    side: int
    references: int
    targets: int
    unet: Mapping[str, Any] = field(default_factory=dict)
    vae_widths: tuple[int, int, int, int]
    vae_blocks: int
    image_encoder: Mapping[str, Any] | None = None

    @property
    def frames(self) -> int:
        """Frames that the network sees together."""
        return self.references + self.targets

    @property
    def latent_side(self) -> int:
        """Side of the latents."""
        return self.side // _DOWNSAMPLING


TINY = Size(
    name="tiny",
    side=64,
    references=1,
    targets=2,
    unet={
        "model_channels": 32, "num_frames": 3, "num_res_blocks": 1, "attention_resolutions": (2, 1),
        "channel_mult": (1, 2), "num_head_channels": 16, "transformer_depth": (1, 1), "context_dim": 32,
    },
    vae_widths=(8, 8, 8, 8),
    vae_blocks=1,
)  # fmt: skip
SMALL = Size(
    name="small",
    side=128,
    references=4,
    targets=4,
    unet={
        "model_channels": 64, "num_res_blocks": 1, "channel_mult": (1, 2, 2), "num_head_channels": 32,
        "transformer_depth": (1, 1, 1), "context_dim": 64,
    },
    vae_widths=(16, 32, 32, 32),
    vae_blocks=1,
)  # fmt: skip
#: The published models: VMem's network, the autoencoder of Stable Diffusion 2.1, CLIP ViT-H/14.
FULL = Size(
    name="full",
    side=576,
    references=4,
    targets=4,
    vae_widths=(128, 256, 512, 512),
    vae_blocks=2,
    image_encoder={
        "hidden_size": 1280, "intermediate_size": 5120, "projection_dim": 1024, "num_hidden_layers": 32,
        "num_attention_heads": 16, "image_size": 224, "patch_size": 14, "hidden_act": "gelu",
    },
)  # fmt: skip


def build_unet(size: Size, *, device: torch.device | str, dtype: torch.dtype) -> MultiviewUNet:
    """Return the network with the weights that its layers begin with: its output depends on all of its inputs."""
    return _ready(lambda: MultiviewUNet(**size.unet), device, dtype)


def build_vae(size: Size, *, device: torch.device | str, dtype: torch.dtype) -> AutoencoderKL:
    """Return the autoencoder."""

    def build() -> AutoencoderKL:
        return AutoencoderKL(
            block_out_channels=size.vae_widths,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=_LATENT_CHANNELS,
            layers_per_block=size.vae_blocks,
            norm_num_groups=min(32, *size.vae_widths),
            scaling_factor=0.18215,
        )

    return _ready(build, device, dtype)


def build_image_encoder(
    size: Size, *, device: torch.device | str, dtype: torch.dtype
) -> CLIPVisionModelWithProjection | None:
    """Return the image encoder, if this size has one."""
    arguments = size.image_encoder
    if arguments is None:
        return None
    return _ready(lambda: CLIPVisionModelWithProjection(CLIPVisionConfig(**arguments)), device, dtype)


def build_conditioning(size: Size, *, device: torch.device | str) -> Conditioning:
    """Return a chunk of cameras on an arc, with random reference latents and embeddings; float32."""
    generator = torch.Generator().manual_seed(1)
    side, dim = size.latent_side, size.unet.get("context_dim", 1024)
    eyes = [(0.3 * i, 0.1 * i, 0.0) for i in range(size.frames)]
    poses = torch.stack([look_at(eye, (eye[0] + 2, eye[1] + 0.2 * i, 0.1)) for i, eye in enumerate(eyes)])
    embeddings = torch.randn(size.references, dim, generator=generator)
    chunk = Conditioning.of_chunk(
        torch.randn(size.references, _LATENT_CHANNELS, side, side, generator=generator),
        embeddings,
        [Camera.from_fov(size.side, size.side, FOV_DEG)] * size.frames,
        normalise_poses(poses),
        context_dim=dim,
    )
    return Conditioning(
        latents=chunk.latents.to(device),
        given=chunk.given.to(device),
        plucker=chunk.plucker.to(device),
        context=chunk.context.to(device),
    )


def _ready(build: Any, device: torch.device | str, dtype: torch.dtype) -> Any:
    """Return a model made where it will live, with the same weights every time."""
    torch.manual_seed(0)
    with torch.device(device):
        model = build()
    # The method of diffusers warns of modules to keep in 32 bits, even where a model has none.
    return nn.Module.to(model, dtype).eval().requires_grad_(False)
