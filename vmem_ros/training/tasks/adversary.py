"""A second network learns to tell generated views from true ones, and the first learns to generate what it cannot tell.

The mean or the median of all possible views is itself no possible view: it has no texture, and no edges where it cannot
know them. An adversary, the discriminator of a conditional GAN (Isola et al., Image-to-Image Translation with
Conditional Adversarial Networks, arXiv 1611.07004), punishes that.

A generated view is compared with the true view of the same pose (Jolicoeur-Martineau, The relativistic discriminator,
arXiv 1807.00734), so that what both show does not count. Spectral normalisation (Miyato et al., arXiv 1802.05957) keeps
the adversary from becoming too sure.
"""

from __future__ import annotations

import itertools
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

_IMAGE, _SLOPE = 3, 0.2


class Adversary(Protocol):
    """Judges generated views beside the true views of the same poses.

    Images are [N, 3, H, W] in [-1, 1]; ``shown`` is what memory shows, holes filled, and ``share`` [N, 1, h, w], of any
    size, the share of each cell that it shows.
    """

    def discriminator_loss(self, generated: Tensor, true: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return the loss of this network; no other network gets a gradient."""
        ...

    def generator_loss(self, generated: Tensor, true: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return what the other network is to make small; its gradient does not reach this one."""
        ...


class PatchAdversary(nn.Module):
    """Scores how true every patch of an image looks, given what memory shows there. Only differences of scores count.

    :param width: channels of the first layer; further layers have twice and four times as many.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # The image, what memory shows with its holes filled, and where it shows anything.
        channels = [2 * _IMAGE + 1, width, 2 * width, 4 * width]
        layers: list[nn.Module] = []
        for before, after in itertools.pairwise(channels):
            layers += [spectral_norm(nn.Conv2d(before, after, 4, stride=2, padding=1)), nn.LeakyReLU(_SLOPE)]
        layers += [spectral_norm(nn.Conv2d(channels[-1], channels[-1], 3, padding=1)), nn.LeakyReLU(_SLOPE)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Conv2d(channels[-1], 1, 3, padding=1)))

    def forward(self, images: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return scores [N, 1, h, w] of patches.

        :param images: [N, 3, H, W] in [-1, 1].
        :param shown: [N, 3, H, W], what memory shows, holes filled.
        :param share: [N, 1, h', w'] of any size, the share of each cell that memory shows.
        """
        known = F.interpolate(share, images.shape[-2:], mode="nearest")
        return self.layers(torch.cat([images, shown, known], dim=1))

    def discriminator_loss(self, generated: Tensor, true: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return the loss of this network, log 2 if it cannot tell them apart; no other network gets a gradient."""
        scores = self(torch.cat([generated.detach(), true]), shown.repeat(2, 1, 1, 1), share.repeat(2, 1, 1, 1))
        of_generated, of_true = scores.chunk(2)
        return F.softplus(of_generated - of_true).mean()

    def generator_loss(self, generated: Tensor, true: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return how much truer the true views look, log 2 if not at all; its gradient does not reach this network."""
        fixed = {name: parameter.detach() for name, parameter in self.named_parameters()}
        scores = torch.func.functional_call(
            self, fixed, (torch.cat([generated, true]), shown.repeat(2, 1, 1, 1), share.repeat(2, 1, 1, 1))
        )
        of_generated, of_true = scores.chunk(2)
        return F.softplus(of_true - of_generated).mean()


class AdversarialPair(nn.Module):
    """A network and its adversary, trained by one optimiser; a call goes to the network.

    :param rate: learning rate of the adversary as a multiple of the network's.
    """

    def __init__(self, network: nn.Module, adversary: nn.Module, *, rate: float) -> None:
        super().__init__()
        self.network = network
        self.adversary = adversary
        self.rates = {"adversary.": rate}

    def forward(self, *arguments: Any) -> Any:
        """Return the output of the network."""
        return self.network(*arguments)
