"""Depth as a picture: metres to a code in [-1, 1] in three equal channels, over a range that a whole world shares.

Over 0.2 to 50 m an error of 0.02 in the code is one of 5.7 % in depth with the logarithm, at any depth; with the
inverse of depth it is up to 71 %, and more with depth itself. A range of each image's own would make depths of two
views incomparable.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from vmem_ros.errors import ModelError

#: Which function of depth the code is linear in.
Curve = Literal["log", "inverse", "sqrt", "linear"]

# Codes of images from here on mean the far end: half a step of 8 bits less.
_FAR = 1 - 1 / 255

_CURVES: dict[Curve, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "log": (torch.log, torch.exp),
    "inverse": (torch.reciprocal, torch.reciprocal),
    "sqrt": (torch.sqrt, torch.square),
    "linear": (lambda depth: depth, lambda value: value),
}


@dataclass(frozen=True)
class DepthCode:
    """The code of depth between ``near_m`` and ``far_m``: -1 to 1, and 1 to -1 for the inverse of depth.

    :raises ModelError: no range, or an unknown curve.
    """

    near_m: float = 0.2
    far_m: float = 50.0
    curve: Curve = "log"

    def __post_init__(self) -> None:
        if not 0 < self.near_m < self.far_m < float("inf"):
            raise ModelError(f"near_m must be positive and less than far_m, got {self.near_m} and {self.far_m}")
        if self.curve not in get_args(Curve):
            raise ModelError(f"curve must be one of {', '.join(get_args(Curve))}, got {self.curve!r}")

    def encode(self, depth: Tensor) -> Tensor:
        """Return the code, of the shape of ``depth`` in metres; what is nearer or farther gets the ends of the range.

        Unknown depth (NaN) stays unknown.
        """
        low, high = self._ends(depth)
        value = _CURVES[self.curve][0](depth.clamp(self.near_m, self.far_m))
        code = 2 * (value - low) / (high - low) - 1
        return -code if self.curve == "inverse" else code

    def decode(self, code: Tensor) -> Tensor:
        """Return depth in metres, of the shape of ``code``; codes beyond -1 and 1 count as these."""
        low, high = self._ends(code)
        code = (-code if self.curve == "inverse" else code).clamp(-1, 1)
        return _CURVES[self.curve][1](low + (code + 1) / 2 * (high - low)).clamp(self.near_m, self.far_m)

    def as_image(self, depth: Tensor) -> Tensor:
        """Return depth [..., H, W] as an image [..., 3, H, W] of three equal channels."""
        return self.encode(depth).unsqueeze(-3).expand(*depth.shape[:-2], 3, *depth.shape[-2:])

    def of_image(self, image: Tensor) -> Tensor:
        """Return depth [..., H, W] of an image [..., 3, H, W], by the mean of its channels.

        At the far end of the code, or beyond, it is +Inf: the image shows nothing within the range.
        """
        code = image.mean(dim=-3)
        far = -code if self.curve == "inverse" else code
        return torch.where(far > _FAR, torch.inf, self.decode(code))

    def _ends(self, like: Tensor) -> tuple[Tensor, Tensor]:
        forward = _CURVES[self.curve][0]
        low, high = (forward(like.new_tensor(end)) for end in (self.near_m, self.far_m))
        return low, high
