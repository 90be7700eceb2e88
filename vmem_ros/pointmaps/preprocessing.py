"""Pictures as depth networks of transformers want them, on tensors: their processors need torchvision or PIL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from vmem_ros.errors import ModelError

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# PIL's numbers of resampling filters, as preprocessor_config.json gives them.
_FILTERS = {2: "bilinear", 3: "bicubic"}


@dataclass(frozen=True)
class Preprocessing:
    """What a ``preprocessor_config.json`` says.

    :param size: (height, width) that pictures are brought to.
    :param keep_aspect_ratio: both sides are scaled alike, by that one of the two factors which is nearer to 1.
    :param multiple: sides are rounded to multiples of this.
    :param mean, std: of the colours in [0, 1], subtracted and divided by.
    :param resample: filter of the resizing.
    """

    size: tuple[int, int]
    keep_aspect_ratio: bool = False
    multiple: int = 1
    mean: tuple[float, ...] = _IMAGENET_MEAN
    std: tuple[float, ...] = _IMAGENET_STD
    resample: str = "bicubic"

    @classmethod
    def read(cls, path: Path) -> Preprocessing:
        """Return what a file says; what it leaves out is as in the processors of transformers.

        :raises ModelError: unreadable, or of a kind that is not known here.
        """
        try:
            config: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            size = config["size"]
            return cls(
                size=(int(size["height"]), int(size["width"])),
                keep_aspect_ratio=bool(config.get("keep_aspect_ratio", False)),
                multiple=int(config.get("ensure_multiple_of", 1)),
                mean=tuple(map(float, config.get("image_mean", _IMAGENET_MEAN))),
                std=tuple(map(float, config.get("image_std", _IMAGENET_STD))),
                resample=_FILTERS[int(config.get("resample", 3))],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{path} cannot be used ({type(error).__name__}: {error}): it must give size with height and "
                "width, and resample 2 (bilinear) or 3 (bicubic); fetch the model again"
            ) from error

    def size_for(self, height: int, width: int) -> tuple[int, int]:
        """Return (height, width) of what the network gets for a picture of this size."""
        down, across = self.size[0] / height, self.size[1] / width
        if self.keep_aspect_ratio:
            down = across = across if abs(1 - across) < abs(1 - down) else down
        rows, columns = (
            max(self.multiple, round(side * factor / self.multiple) * self.multiple)
            for side, factor in ((height, down), (width, across))
        )
        return rows, columns

    def __call__(self, image: Tensor) -> Tensor:
        """Return pixel values [1, 3, h, w] of a picture [H, W, 3] uint8."""
        values = image.permute(2, 0, 1)[None].float() / 255
        size = self.size_for(*image.shape[:2])
        values = interpolate(values, size, mode=self.resample, antialias=True, align_corners=False)
        mean, std = (torch.tensor(each, device=image.device)[:, None, None] for each in (self.mean, self.std))
        return (values - mean) / std
