"""A pipeline of Geometry-as-Context in a few ten thousand parameters, with random weights, all of which matter."""

from __future__ import annotations

import torch

from vmem_ros.generation.gac import GacPipeline, GacTransformer
from vmem_ros.generation.gac.sampling import flow_scheduler
from vmem_ros.generation.vmem.patch_autoencoder import PatchAutoencoder

NETWORK = {
    "latent_channels": 6,
    "downsampling": 4,
    "patch": 2,
    "width": 32,
    "num_layers": 2,
    "heads": 4,
    "kv_heads": 2,
    "ffn_width": 48,
}


def tiny_transformer(seed: int = 0, **config: object) -> GacTransformer:
    """Return a network whose output depends on all it is told; sides of images are multiples of 8."""
    torch.manual_seed(seed)
    return GacTransformer(**{**NETWORK, **config}).eval().requires_grad_(False)


def tiny_patch_autoencoder(seed: int = 0) -> PatchAutoencoder:
    """Return an autoencoder fitted to noise with large spots."""
    torch.manual_seed(seed)
    vae = PatchAutoencoder(patch=4, latent_channels=6, widths=(8, 8), blocks=(1, 1))
    spots = torch.nn.functional.interpolate(torch.rand(8, 3, 6, 6) * 2 - 1, (32, 32), mode="bilinear")
    vae.fit(spots + 0.1 * torch.randn(8, 3, 32, 32))
    return vae.eval().requires_grad_(False)


def tiny_gac(seed: int = 0, **config: object) -> GacPipeline:
    """Return a pipeline that draws a picture and its depth in two steps each, two views in a sequence."""
    settings = {"frames": 2, "sampling": {"num_inference_steps": 2, "geometry_steps": 2}, "far_m": 20.0, **config}
    return GacPipeline(tiny_transformer(seed), tiny_patch_autoencoder(), flow_scheduler(3.0), **settings)
