"""One look of the network at a chunk, both halves of guidance, with and without each of the savings."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from vmem_ros.benchmarking.flops import FlopCount, count_flops
from vmem_ros.benchmarking.generator_models import Size, build_conditioning, build_unet, build_vae
from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.conditioning import Conditioning
from vmem_ros.generation.vmem.network import MultiviewUNet, PreparedConditioning

_TIMESTEP = 500
# What is computed in 16 bits is compared with 32, and 32 with 64.
_MORE_PRECISE = {torch.bfloat16: torch.float32, torch.float32: torch.float64}


@dataclass(eq=False)
class Workload:
    """A network and a decoder with what goes through them in one step of a chunk of T = K + M frames.

    :param conditioning: of the chunk.
    :param noisy: [2 T, 4, h, w] latents of both halves, the unconditional one first, and of both after the step.
    """

    size: Size
    unet: MultiviewUNet
    vae: AutoencoderKL
    conditioning: Conditioning
    noisy: Tensor

    @classmethod
    def of(cls, size: Size, *, device: torch.device | str, dtype: torch.dtype) -> Workload:
        """Return the workload of a size.

        :raises ModelError: random weights whose output is not finite, or nothing: no cost could be compared.
        """
        generator = torch.Generator().manual_seed(2)
        side = size.latent_side
        conditioning = build_conditioning(size, device=device)
        noisy = torch.randn(2 * size.frames, conditioning.latents.shape[1], side, side, generator=generator)
        unet, vae = (build(size, device=device, dtype=dtype) for build in (build_unet, build_vae))
        workload = cls(size, unet, vae, conditioning, noisy.to(device, dtype))
        if torch.device(device).type != "meta":
            spread = float(workload.evaluate(workload.prepared).float().std())
            if not 0 < spread < float("inf"):
                raise ModelError(f"random weights of size {size.name} give an output of standard deviation {spread}")
        return workload

    def channels_last(self) -> Workload:
        """Return a copy whose weights lie in channels-last memory."""
        other = replace(self, unet=copy.deepcopy(self.unet), vae=copy.deepcopy(self.vae))
        for model in (other.unet, other.vae):
            model.to(memory_format=torch.channels_last)
        return other

    def compiled(self) -> Workload:
        """Return a copy whose network is compiled for the sizes it meets."""
        other = replace(self, unet=copy.deepcopy(self.unet))
        other.unet.compile(dynamic=False)
        return other

    def more_precise(self) -> Workload:
        """Return a copy with the same weights and twice the bits to compute with."""
        dtype = _MORE_PRECISE[self.unet.dtype]
        unet, vae = (nn.Module.to(copy.deepcopy(model), dtype) for model in (self.unet, self.vae))
        return replace(self, unet=unet, vae=vae, noisy=self.noisy.to(dtype))

    # -- conditioning --------------------------------------------------------------------------------------------------
    @cached_property
    def context(self) -> Tensor:
        """Tokens of both halves [2 T, 1, D]."""
        halves = (self.conditioning.unconditional(), self.conditioning)
        return torch.cat([half.context for half in halves]).to(self.unet.dtype)

    @cached_property
    def dense(self) -> Tensor:
        """Rays [T, 6, h, w], which both halves share."""
        return self.conditioning.plucker.to(self.unet.dtype)

    def prepare(self, *, shared: bool = True) -> PreparedConditioning:
        """Work out what all steps share; ``shared``: once for both halves where that is possible."""
        dense = self.dense if shared else torch.cat([self.dense, self.dense])
        return self.unet.prepare(self.context, dense, self.size.frames)

    @cached_property
    def prepared(self) -> PreparedConditioning:
        """All that can be worked out before the first step."""
        return self.prepare()

    @cached_property
    def without_contexts(self) -> PreparedConditioning:
        """The same, but cross-attention is left to every step."""
        # Where something was prepared, a layer also takes what it was prepared of.
        raw: dict[str, Any] = dict.fromkeys(self.prepared.contexts, self.context)
        return replace(self.prepared, contexts=raw)

    @cached_property
    def without_modulations(self) -> PreparedConditioning:
        """The same, but the modulations by the rays are left to every step, for each half."""
        raw: dict[str, Any] = dict.fromkeys(self.prepared.modulations, torch.cat([self.dense, self.dense]))
        return replace(self.prepared, modulations=raw)

    # -- work ----------------------------------------------------------------------------------------------------------
    @cached_property
    def sample(self) -> Tensor:
        """What the network sees [2 T, 11, h, w]."""
        halves = (self.conditioning.unconditional(), self.conditioning)
        return torch.cat([self.noisy, torch.cat([half.concat for half in halves]).to(self.noisy)], dim=1)

    @torch.no_grad()
    def evaluate(self, prepared: PreparedConditioning | None) -> Tensor:
        """Return the noise of both halves [2 T, 4, h, w]; ``None``: everything is worked out in the step."""
        timestep = torch.full((len(self.sample),), _TIMESTEP, device=self.sample.device)
        if prepared is not None:
            return self.unet(self.sample, timestep, num_frames=self.size.frames, prepared=prepared).sample
        dense = torch.cat([self.dense, self.dense])
        return self.unet(self.sample, timestep, self.context, dense, self.size.frames).sample

    @torch.no_grad()
    def evaluate_conditional(self) -> Tensor:
        """Return the noise of the conditional half [T, 4, h, w] without the other."""
        frames = self.size.frames
        timestep = torch.full((frames,), _TIMESTEP, device=self.sample.device)
        return self.unet(self.sample[frames:], timestep, num_frames=frames, prepared=self.prepared.select(1)).sample

    @torch.no_grad()
    def decode(self, frames: slice) -> Tensor:
        """Return images [N, 3, H, W] of some frames of the conditional half."""
        return self.vae.decode(self.noisy[self.size.frames :][frames]).sample


#: What is timed and compared: anything that a workload can do.
Work = Callable[[Workload], Tensor]


@cache
def count(meta: Workload, work: Work) -> FlopCount:
    """Return the operations of ``work``, the same for every device, type and kernel.

    :param meta: a workload on the meta device.
    """
    # Known before the count, as before the first step.
    _ = meta.prepared, meta.without_contexts, meta.without_modulations, meta.sample
    return count_flops(lambda: work(meta))
