"""A second network learns to tell drawn views from true ones, and so the first to draw what cannot be told from them.

The mean or the median of all views that are possible is itself no possible view: it has no texture and no edges where
it cannot know them. Images with an adversary (Isola et al., Image-to-Image Translation with Conditional Adversarial
Networks, arXiv 1611.07004) have.

A drawn view is compared with the true view of the same pose (Jolicoeur-Martineau, The relativistic discriminator,
arXiv 1807.00734), so that what both show does not count: a batch holds four poses of one room. Spectral normalisation
(Miyato et al., arXiv 1802.05957) keeps the adversary from becoming too sure.
"""

from __future__ import annotations

import itertools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

_IMAGE, _SLOPE = 3, 0.2


class Adversary(nn.Module):
    """Says of every patch of an image how true it looks, next to what memory shows there. Only differences count.

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
        """Return [N, 1, h, w].

        :param images: [N, 3, H, W] in [-1, 1], and ``shown`` like them.
        :param share: [N, 1, h', w'], how much memory shows, of any size.
        """
        known = F.interpolate(share, images.shape[-2:], mode="nearest")
        return self.layers(torch.cat([images, shown, known], dim=1))

    def learn(self, drawn: Tensor, true: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return the loss of telling them apart, log 2 of who cannot; it changes nothing but this network."""
        says = self(torch.cat([drawn.detach(), true]), shown.repeat(2, 1, 1, 1), share.repeat(2, 1, 1, 1))
        of_drawn, of_true = says.chunk(2)
        return F.softplus(of_drawn - of_true).mean()

    def doubts(self, drawn: Tensor, true: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return how much truer the true views look, log 2 if not at all; its gradient does not change this network."""
        fixed = {name: parameter.detach() for name, parameter in self.named_parameters()}
        says = torch.func.functional_call(
            self, fixed, (torch.cat([drawn, true]), shown.repeat(2, 1, 1, 1), share.repeat(2, 1, 1, 1))
        )
        of_drawn, of_true = says.chunk(2)
        return F.softplus(of_true - of_drawn).mean()


class AdversarialPair(nn.Module):
    """A network and its adversary, trained together; called, it is the network.

    :param rate: learning rate of the adversary as a multiple of the network's.
    """

    def __init__(self, network: nn.Module, adversary: Adversary, *, rate: float) -> None:
        super().__init__()
        self.network = network
        self.adversary = adversary
        self.rates = {"adversary.": rate}

    def forward(self, *arguments: Any) -> Any:
        """Return what the network says."""
        return self.network(*arguments)
