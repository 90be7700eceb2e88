"""What the network of Geometry-as-Context is trained for: the way from noise to each image, from all before it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vmem_ros.generation.flow_prediction import LEAST_TIME, FlowPrediction
from vmem_ros.generation.gac.network import GacTransformer
from vmem_ros.generation.gac.sequence import splits_of
from vmem_ros.training.data.view_sequences import SequenceBatch
from vmem_ros.training.recipes.flow import Flow
from vmem_ros.training.tasks.flow_errors import draw_times, pixel_errors


class FlowObjective:
    """Mean error of what the network draws, at random times, one per image.

    :param network: whose output is understood; not the one that is asked, which may be wrapped.
    :param decode: turns latents [N, C, h, w] into images; errors are then absolute ones of pixels.
    """

    def __init__(self, network: GacTransformer, flow: Flow, decode: Callable[[Tensor], Tensor] | None = None) -> None:
        self._network = network
        self._flow = flow
        self._decode = decode

    def __call__(
        self, network: nn.Module, batch: SequenceBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss, and its parts for the log: of pictures and of their depth.

        :param generator: on the CPU, so that the noise is the same on every device.
        """
        device = batch.clean.device
        height, width = batch.plucker.shape[-2:]
        tokens = height * width // self._network.multiple**2
        splits = splits_of(batch.parts, tokens)
        images = [part for part in batch.parts if part.word is None]
        shown = [split for split in splits if split.part.word is None]
        index = [images.index(split.part) for split in shown]
        noisy = torch.tensor([split.mode == "noise" for split in shown])

        times = torch.where(noisy, draw_times(self._flow, (len(batch.clean), len(shown)), generator), 0.0).to(device)
        noise = torch.randn(len(batch.clean), len(shown), *batch.clean.shape[2:], generator=generator).to(device)
        clean = batch.clean[:, index]
        t = times[..., None, None, None]
        disturbed = clean + batch.disturbance.to(device)[:, None, None, None, None] * noise
        latents = torch.where(noisy.to(device)[:, None, None, None], (1 - t) * clean + t * noise, disturbed)
        said = network(latents, times, batch.plucker, splits).float()

        drawn = noisy.nonzero().squeeze(1).to(device)
        error = self._error(said, latents[:, drawn], clean[:, drawn], noise[:, drawn], t[:, drawn])
        of_geometry = torch.tensor([split.part.geometry for split in shown if split.mode == "noise"])
        named = (("image", ~of_geometry), ("geometry", of_geometry))
        figures = {
            f"loss_{name}": float(error.detach()[:, which.to(device)].mean()) for name, which in named if which.any()
        }
        return error.mean(), figures

    def _error(self, said: Tensor, noisy: Tensor, clean: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Return the error [B, n] of each image."""
        if self._decode is None:
            prediction: FlowPrediction = self._network.config.prediction
            if prediction == "sample":
                return ((said - clean) / t.clamp(min=LEAST_TIME)).square().mean(dim=(2, 3, 4))
            return (said - (noise - clean)).square().mean(dim=(2, 3, 4))
        return pixel_errors(self._decode, self._network.clean(said, noisy, t), clean)
