"""What a network predicts of noisy latents, and how the clean ones follow from it.

A network sees ``x = (clean + sigma * noise) / s`` with ``s = sqrt(sigma^2 + 1)``. Of the noise, the error of the clean
latents grows with sigma; of the velocity ``(noise - sigma * clean) / s`` (Salimans and Ho, arXiv 2202.00512) it stays
bounded at both ends, which a small network needs where there is little but noise. Or it says what the clean latents
are: then noise need not pass through a network that is hardly wider than its input, and what is known from elsewhere,
such as a projection of memory, is right at every noise level.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

#: As diffusers calls them, in ``prediction_type`` of schedulers.
Prediction = Literal["epsilon", "v_prediction", "sample"]


def clean_latents(prediction: Prediction, noisy: Tensor, output: Tensor, sigma: Tensor | float) -> Tensor:
    """Return the clean latents that ``output`` of the network stands for.

    :param noisy: what the network saw, as above; ``output`` has its shape, and ``sigma`` broadcasts against it.
    """
    if prediction == "sample":
        return output
    scale = (sigma**2 + 1) ** 0.5
    if prediction == "v_prediction":
        return (noisy - sigma * output) / scale
    return noisy * scale - sigma * output


def wanted_output(prediction: Prediction, clean: Tensor, noise: Tensor, sigma: Tensor | float) -> Tensor:
    """Return what the network should say of ``(clean + sigma * noise) / sqrt(sigma^2 + 1)``."""
    if prediction == "sample":
        return clean
    if prediction == "v_prediction":
        return (noise - sigma * clean) / (sigma**2 + 1) ** 0.5
    return noise
