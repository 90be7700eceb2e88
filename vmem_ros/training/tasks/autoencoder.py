"""The training of an autoencoder: images of houses to a small grid of latents and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from safetensors import safe_open
from torch import Tensor, nn

from vmem_ros.evaluation.metrics import psnr
from vmem_ros.generation.vmem.autoencoding import pixels
from vmem_ros.generation.vmem.patch_autoencoder import PatchAutoencoder
from vmem_ros.generation.vmem.pipeline_folder import write_folder
from vmem_ros.pretrained.components import quiet_libraries
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.training.data.house_walks import ViewWalk, ViewWalkFactory
from vmem_ros.training.data.walk_caches import OpenWalkCache, evaluation_walks
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.autoencoder import AutoencoderRecipe
from vmem_ros.training.tasks.autoencoder_classes import make_autoencoder

_SCALES = 3
# Images that latents are measured on for their scale.
_MEASURED = 96
_VIEWS_PER_HOUSE = 4


class Reconstruction(nn.Module):
    """Images through an autoencoder and back.

    :param latent_noise: see :class:`~vmem_ros.training.recipes.AutoencoderRecipe`.
    """

    def __init__(self, vae: Any, *, latent_noise: float) -> None:
        super().__init__()
        self.vae = vae
        self._latent_noise = latent_noise

    def forward(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return reconstructions [N, 3, H, W], and how far the latents are from a unit normal."""
        encoded = self.vae.encode(images)
        if hasattr(encoded, "latent_dist"):
            distribution = encoded.latent_dist
            latents = distribution.mean + distribution.std * _noise_like(distribution.mean, generator)
            distance = distribution.kl().mean() / distribution.mean[0].numel()
        else:
            latents = encoded.latents
            distance = latents.square().mean()
        if self._latent_noise:
            spread = self._latent_noise * latents.detach().std()
            latents = latents + spread * _noise_like(latents, generator)
        return self.vae.decode(latents).sample, distance


class AutoencoderTask:
    """See :class:`vmem_ros.training.tasks.task.Task`.

    :param cache: folder of walks.
    """

    def __init__(self, recipe: AutoencoderRecipe, *, cache: Path, accelerator: Accelerator) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self._device = accelerator.device
        self._vae = make_autoencoder(recipe.kind, recipe.config)
        self.network = Reconstruction(self._vae, latent_noise=recipe.latent_noise)
        self._walks: WalkStream[ViewWalk] = WalkStream(
            OpenWalkCache(cache, recipe.data), recipe.data, produces=accelerator.is_local_main_process
        )
        self._cache = cache
        if isinstance(self._vae, PatchAutoencoder):
            # The same images every time, so a training that goes on has the same latents.
            self._vae.fit(self._some_images(), whitening=recipe.whitening)
            self._vae.encoder.requires_grad_(False)
            self._vae.decoder.requires_grad_(False)
        self._vae.to(self._device)

    def loss(
        self, network: nn.Module, first: int, count: int, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the mean absolute error, that of edges, and the term that keeps latents small."""
        images = pixels(list(self._images(first, count)), self._device)
        drawn, distance = network(images, generator)
        drawn = drawn.float()
        absolute, edges = F.l1_loss(drawn, images), _edge_loss(drawn, images)
        loss = absolute + self._recipe.edges * edges + self._recipe.kl * distance
        return loss, {"loss_absolute": absolute.item(), "loss_edges": edges.item(), "latents": distance.item()}

    @torch.no_grad()
    def sample(self, sheet: Path) -> dict[str, float]:
        """Draw reconstructions of views of evaluation houses."""
        blocks, quality = [], []
        walks = evaluation_walks(self._cache, self._recipe.data, self._recipe.reporting.sample_sets, ViewWalkFactory)
        for walk in walks:
            chosen = np.linspace(0, len(walk.images) - 1, _VIEWS_PER_HOUSE).round().astype(int).tolist()
            truth = [walk.images[i] for i in chosen]
            drawn = self._vae.decode(self._latents(pixels(truth, self._device))).sample.float().clamp(-1, 1)
            images = ((drawn + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu()
            quality += [psnr(a, b) for a, b in zip(images, truth, strict=True)]
            blocks.append(Block("", {"truth": truth, "drawn": list(images)}))
        write_image_grid(sheet, blocks)
        return {"psnr_dB": float(np.mean(quality)), "psnr_worst_dB": min(quality)}

    def save(self, folder: Path) -> str:
        """Write the autoencoder with the scale of its latents."""
        shift, scale = self._measure()
        self._vae.register_to_config(scaling_factor=1 / scale, shift_factor=shift)

        def write(new: Path) -> None:
            with quiet_libraries():
                self._vae.save_pretrained(new, safe_serialization=True)

        size = write_folder(folder, write)
        return f"wrote the autoencoder {folder} ({size / 1e6:.1f} MB, latents {shift:+.3f} +- {scale:.3f})"

    def close(self) -> None:
        """End the processes that make walks."""
        self._walks.close()

    def _images(self, first: int, count: int) -> Iterator[Tensor]:
        """Yield images [H, W, 3] uint8, each of another walk."""
        rng = np.random.default_rng((self._recipe.seed, 3, first))
        data = self._recipe.data
        for number in range(first, first + count):
            window = self._walks.window(number)
            walk = self._walks.open(int(rng.integers(window.start, window.stop)), sample=number)
            with safe_open(walk, "pt") as file:
                image = file.get_slice("images")[int(rng.integers(1 + data.chunks * data.chunk))]
            yield image.flip(1) if rng.uniform() < 0.5 else image

    def _latents(self, images: Tensor) -> Tensor:
        encoded = self._vae.encode(images)
        return encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents

    def _some_images(self) -> Tensor:
        """Return images of training walks [N, 3, H, W] in [-1, 1], the same at every call."""
        return pixels(list(self._images(0, _MEASURED)))

    @torch.no_grad()
    def _measure(self) -> tuple[float, float]:
        """Return mean and standard deviation of latents of training views."""
        latents = torch.cat([self._latents(part.to(self._device)) for part in self._some_images().split(8)])
        return float(latents.mean()), float(latents.std())


def _edge_loss(drawn: Tensor, truth: Tensor) -> Tensor:
    """Return the mean absolute error of differences between neighbours, at full, half and quarter size."""
    total = drawn.new_zeros(())
    for scale in range(_SCALES):
        if scale:
            drawn, truth = F.avg_pool2d(drawn, 2), F.avg_pool2d(truth, 2)
        for axis in (-1, -2):
            total = total + F.l1_loss(drawn.diff(dim=axis), truth.diff(dim=axis))
    return total / _SCALES


def _noise_like(tensor: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(tensor.shape, generator=generator).to(tensor)
