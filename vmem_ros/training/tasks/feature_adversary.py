"""An adversary that sees what a network sees which knows photographs, where memory shows nothing.

A discriminator that begins with pixels first has to learn what pictures are made of, and a small generator outruns it.
One that looks at features of a fixed network only learns which of them true views have (Sauer et al., Projected GANs
Converge Faster, arXiv 2111.01007): from edges of two pixels to things of sixteen.

Where memory shows something, both pictures are given the true one. So nothing is judged there, and seams are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from vmem_ros.evaluation.perceptual import STAGE_CHANNELS, PerceptualNetwork, perceptual_network

_SLOPE = 0.2


class FeatureAdversary(nn.Module):
    """Scores how true every cell of an image looks, at four sizes of cells; see :class:`.adversary.Adversary`.

    :param width: channels of its layers.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.judges = nn.ModuleList(_judge(channels, width) for channels in STAGE_CHANNELS)
        # In a tuple, so that it is no part of what is trained or saved.
        self._features: tuple[PerceptualNetwork] = (perceptual_network(),)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return scores [N, 1, h, w] of each stage.

        :param images: [N, 3, H, W] in [-1, 1].
        """
        features = self._features[0].to(images.device).stages((images + 1) * 127.5)
        return [judge(_normalised(each)) for judge, each in zip(self.judges, features, strict=True)]

    def discriminator_loss(self, generated: Tensor, true: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return the hinge loss, 2 if true and generated views look the same; see :class:`.adversary.Adversary`."""
        with torch.no_grad():
            whole = _completed(generated, true, share)
        losses = []
        for scores in self(torch.cat([whole, true])):
            of_generated, of_true = scores.chunk(2)
            losses.append(_mean_unseen(F.relu(1 + of_generated) + F.relu(1 - of_true), share))
        return torch.stack(losses).mean()

    def generator_loss(self, generated: Tensor, true: Tensor, shown: Tensor, share: Tensor) -> Tensor:
        """Return how untrue generated views look, negative if they look true; see :class:`.adversary.Adversary`."""
        fixed = {name: parameter.detach() for name, parameter in self.named_parameters()}
        scores = torch.func.functional_call(self, fixed, (_completed(generated, true, share),))
        return torch.stack([_mean_unseen(-each, share) for each in scores]).mean()


def _judge(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, width, 1)),
        nn.LeakyReLU(_SLOPE),
        spectral_norm(nn.Conv2d(width, width, 3, padding=1)),
        nn.LeakyReLU(_SLOPE),
        spectral_norm(nn.Conv2d(width, 1, 3, padding=1)),
    )


def _normalised(features: Tensor) -> Tensor:
    """Return features of which the mean square over an image is 1: stages differ by a factor of a hundred."""
    scale = features.detach().float().square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
    return features / scale.clamp(min=1e-6)


def _completed(generated: Tensor, true: Tensor, share: Tensor) -> Tensor:
    """Return the true image with the generated one where memory shows nothing."""
    known = F.interpolate(share, generated.shape[-2:], mode="bilinear").round()
    return torch.where(known > 0, true, generated)


def _mean_unseen(values: Tensor, share: Tensor) -> Tensor:
    """Return the mean of [N, 1, h, w], cells weighted by how much of each memory does not show; 0 if it shows all."""
    weight = F.interpolate(1 - share, values.shape[-2:], mode="bilinear", antialias=True)
    return (values * weight).sum() / weight.sum().clamp(min=1)
