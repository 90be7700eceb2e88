"""What the video networks are trained for: the way from noise to the frames of a clip, beside those that are given."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vmem_ros.generation.wan.sampling import flow_of
from vmem_ros.training.data.clips import ClipBatch
from vmem_ros.training.recipes.flow import Flow
from vmem_ros.training.tasks.flow_errors import draw_times, pixel_errors

# Times of the network, for a time of 1.
_TIMES = 1000.0


class ClipObjective:
    """Mean error of the frames that a network draws, at random times, one per clip.

    :param decode: turns latents [N, L, h, w] into images; errors are then absolute ones of pixels, otherwise squared
        ones of the velocity.
    """

    def __init__(self, flow: Flow, decode: Callable[[Tensor], Tensor] | None = None) -> None:
        self._flow = flow
        self._decode = decode

    def __call__(
        self, network: nn.Module, batch: ClipBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss, and its parts for the log: of clips that go on from the newest views, and of others.

        :param generator: on the CPU, so that the noise is the same on every device.
        """
        clean, known = batch.clean, batch.known
        t = draw_times(self._flow, (len(clean), 1), generator).to(clean.device)
        at = t[..., None, None, None]
        noise = torch.randn(clean.shape, generator=generator).to(clean.device)
        noisy = torch.cat([clean[:, :, :known], ((1 - at) * clean + at * noise)[:, :, known:]], dim=2)
        flow = flow_of(network, noisy, _TIMES * t, known, batch.told, None)
        drawn = slice(known, None)
        if self._decode is None:
            error = (flow - (noise - clean))[:, :, drawn].square().mean(dim=(1, 2, 3, 4))
        else:
            found, true = ((x[:, :, drawn]).transpose(1, 2) for x in (noisy - at * flow, clean))
            error = pixel_errors(self._decode, found, true)
        loss = error.mean()
        goes_on = known > 1 or batch.told.preceding is not None
        return loss, {"loss_continued" if goes_on else "loss_first": float(loss.detach())}
