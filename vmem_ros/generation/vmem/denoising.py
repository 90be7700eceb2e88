"""One look of the network at noisy latents: an estimate of the clean ones, guided where guidance applies."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from vmem_ros.generation.vmem.conditioning import Conditioning
from vmem_ros.generation.vmem.guidance import GuidanceInterval, guide
from vmem_ros.generation.vmem.prediction import Prediction, clean_latents


class Network(Protocol):
    """What a denoiser calls: :class:`~vmem_ros.generation.vmem.network.MultiviewUNet`, or anything with its methods."""

    def prepare(self, encoder_hidden_states: Tensor, dense_conditioning: Tensor, num_frames: int) -> Any:
        """Return what is the same at all noise levels; ``select(first, count)`` gives single sets of it."""
        ...

    def __call__(self, sample: Tensor, timestep: Tensor, *, num_frames: int, prepared: Any) -> Any:
        """Return an object whose ``sample`` is a prediction for the first channels of ``sample`` [B*N, C', h, w]."""
        ...


class Denoiser:
    """Estimates clean latents of one chunk, or of several that have nothing to do with each other, from noisy ones.

    Where guidance applies, both halves (unconditional, conditional) go through the network in one call; where it does
    not (all scales 1, or a noise level outside the interval), the conditional half goes alone.

    As published, only the conditional half sees given frames clean. The unconditional half, which must not know them,
    sees their running noisy state.

    :param conditioning: of N frames, those of one chunk after those of another.
    :param scales: [N] guidance scales.
    :param chunk_frames: frames of each chunk; ``None``: there is one.
    :param prediction: what the network predicts.
    :param dtype: what the network computes in. Estimates are float32 whatever it is.
    """

    def __init__(
        self,
        network: Network,
        conditioning: Conditioning,
        scales: Tensor,
        *,
        chunk_frames: int | None = None,
        interval: GuidanceInterval | None = None,
        prediction: Prediction = "epsilon",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._network = network
        self._scales = scales
        self._interval = interval or GuidanceInterval()
        self._prediction: Prediction = prediction
        self._dtype = dtype
        self._frames = len(conditioning.given) if chunk_frames is None else chunk_frames
        self._chunks = len(conditioning.given) // self._frames
        guided = bool((scales != 1).any())
        # The conditional half is the last one, with or without the other.
        self._halves = (conditioning.unconditional(), conditioning) if guided else (conditioning,)
        self._concats = [half.concat.to(dtype) for half in self._halves]
        self._bases = [half.base.float().expand(half.latents.shape) for half in self._halves]
        context = torch.cat([half.context for half in self._halves]).to(dtype)
        # The rays are those of both halves.
        self._prepared = network.prepare(context, conditioning.plucker.to(dtype), self._frames)

    def is_guided(self, sigma: float) -> bool:
        """Return whether guidance applies at a noise level, at the cost of a second half."""
        return len(self._halves) > 1 and sigma in self._interval

    def __call__(self, sample: Tensor, timestep: Tensor, sigma: float) -> Tensor:
        """Return the estimate of the clean latents [N, C, h, w] float32.

        :param sample: [N, C, h, w] noisy latents as the network takes them: ``(clean + sigma * noise) / scale`` with
            ``scale = sqrt(sigma^2 + 1)``.
        :param timestep: scalar, index of ``sigma`` in the table of training noise levels.
        """
        scale = (sigma**2 + 1) ** 0.5
        first = 0 if self.is_guided(sigma) else len(self._halves) - 1
        halves, concats = self._halves[first:], self._concats[first:]
        prepared = self._prepared if first == 0 else self._prepared.select(first * self._chunks, self._chunks)
        noisy = torch.cat([half.place_given(sample.float(), scale) for half in halves])
        output = self._network(
            torch.cat([noisy.to(self._dtype), torch.cat(concats)], dim=1),
            timestep.expand(len(noisy)),
            num_frames=self._frames,
            prepared=prepared,
        )
        clean = clean_latents(self._prediction, noisy, output.sample.float(), sigma) + torch.cat(self._bases[first:])
        if len(halves) == 1:
            return clean
        unconditional, conditional = clean.chunk(2)
        return guide(unconditional, conditional, self._scales)
