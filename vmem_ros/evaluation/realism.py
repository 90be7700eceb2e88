"""Does what was invented look like what there is? Sets of pictures, compared where nobody could know them.

Errors of pixels reward fog, the mean of all that may be there. These figures do not ask whether the right thing was
drawn: only whether things were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vmem_ros.evaluation.perceptual import perceptual_network

# A cell of features is invented if more than this share of its pixels is.
_INVENTED = 0.5
# Fewer cells say nothing; more than so many are drawn from.
_FEW, _MANY = 16, 4096


@dataclass(frozen=True)
class Realism:
    """How much invented parts of pictures look like the truth; NaN where too little was invented.

    :param kernel_distance: between features of invented and of true cells, 0 for pictures of one kind.
    :param gradient_energy: of invented parts over that of the truth: 1 as rich in edges, 0 fog.
    """

    kernel_distance: float
    gradient_energy: float


def realism(images: Sequence[Tensor], truths: Sequence[Tensor], invented: Sequence[Tensor]) -> Realism:
    """Compare what was drawn with the truth.

    :param images: uint8 [H, W, 3] RGB each, of one size.
    :param truths: likewise, what a camera would have seen.
    :param invented: [H, W] bool each: pixels that are judged.
    """
    masks = torch.stack(list(invented)).cpu()
    drawn, true = torch.stack(list(images)).cpu(), torch.stack(list(truths)).cpu()
    energies = [gradient_energy(each, masks) for each in (drawn, true)]
    ratio = energies[0] / energies[1] if energies[1] > 0 else math.nan
    chosen = masks.flatten(1).any(dim=1)
    if not bool(chosen.any()):
        return Realism(math.nan, ratio)
    cells = [_invented_cells(each[chosen], masks[chosen]) for each in (drawn, true)]
    return Realism(kernel_distance(*cells) if len(cells[0]) >= _FEW else math.nan, ratio)


def gradient_energy(images: Tensor, masks: Tensor) -> float:
    """Return the sum of squared differences of neighbours, of pairs that both lie in the masks.

    :param images: uint8 [N, H, W, 3]; ``masks``: [N, H, W] bool.
    """
    pixels, total = images.double(), 0.0
    for dim in (1, 2):
        inside = masks.narrow(dim, 1, masks.shape[dim] - 1) & masks.narrow(dim, 0, masks.shape[dim] - 1)
        total += float(pixels.diff(dim=dim).square().sum(dim=-1)[inside].sum())
    return total


def kernel_distance(features: Tensor, reference: Tensor) -> float:
    """Return the squared maximum mean discrepancy of two samples (Binkowski et al. 2018), unbiased: it may be below 0.

    The kernel is (x y / d + 1)^3, of features divided by the root mean square of the reference's, so that 1 is much
    whatever network they come from.

    :param features: [n, d]; ``reference``: [m, d], both of 2 samples or more.
    """
    x, y = (
        each.double() / reference.double().square().mean().sqrt().clamp(min=1e-12) for each in (features, reference)
    )

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / a.shape[1] + 1) ** 3

    def within(a: Tensor) -> Tensor:
        n = len(a)
        k = kernel(a, a)
        return (k.sum() - k.diagonal().sum()) / (n * (n - 1))

    return float(within(x) + within(y) - 2 * kernel(x, y).mean())


@torch.no_grad()
def _invented_cells(images: Tensor, masks: Tensor) -> Tensor:
    """Return the features [n, d] of cells that are invented, at most so many, always the same ones."""
    features = torch.cat([perceptual_network()(part) for part in images.split(8)])
    share = F.adaptive_avg_pool2d(masks.float()[:, None], (features.shape[2], features.shape[3])).flatten()
    cells = features.permute(0, 2, 3, 1).flatten(0, 2)[share > _INVENTED]
    if len(cells) > _MANY:
        cells = cells[torch.randperm(len(cells), generator=torch.Generator().manual_seed(0))[:_MANY]]
    return cells
