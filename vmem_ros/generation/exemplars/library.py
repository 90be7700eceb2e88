"""A library of pictures of other places, and what they are found by: thumbnails and where they have details."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from vmem_ros.errors import ModelError
from vmem_ros.pretrained.shipped import EXEMPLARS, check_manifest, shipped_folder

#: Name of the file of a library in a folder.
FILE = "exemplars.safetensors"
#: Side of thumbnails in cells; pictures are square.
GRID = 16
_SIDES = (64, 1024)


class ExemplarLibrary:
    """N square pictures, kept as JPEG.

    :param jpegs: one file each, as ``uint8`` arrays; all pictures of one size.
    :raises ModelError: there is none, or one cannot be read or has another size.
    """

    def __init__(self, jpegs: Iterable[Tensor]) -> None:
        self._jpegs = list(jpegs)
        if not self._jpegs:
            raise ModelError("a library of exemplars needs at least one picture")
        pictures = [self.picture(number) for number in range(len(self._jpegs))]
        self.side = pictures[0].shape[0]
        for number, picture in enumerate(pictures):
            if tuple(picture.shape) != (self.side, self.side, 3) or not _SIDES[0] <= self.side <= _SIDES[1]:
                raise ModelError(
                    f"picture {number} is {picture.shape[1]} x {picture.shape[0]}: all have to be square, of one size "
                    f"between {_SIDES[0]} and {_SIDES[1]}"
                )
        #: [N, 3, 16, 16] float32 in [0, 1]: the pictures, as means over cells.
        self.thumbnails = torch.cat([_thumbnail(picture) for picture in pictures])
        #: [N, 16, 16] float32: how much neighbouring pixels differ, root mean square over cells.
        self.detail = torch.cat([_detail(picture) for picture in pictures])

    def __len__(self) -> int:
        return len(self._jpegs)

    def picture(self, number: int) -> Tensor:
        """Return a picture, [S, S, 3] uint8 RGB."""
        decoded = cv2.imdecode(self._jpegs[number].numpy(), cv2.IMREAD_COLOR)
        if decoded is None:
            raise ModelError(f"picture {number} of the library of exemplars is damaged")
        return torch.from_numpy(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB))

    @classmethod
    def of(cls, pictures: Iterable[Tensor], *, quality: int = 85) -> ExemplarLibrary:
        """Return the library of pictures [S, S, 3] uint8 RGB.

        :param quality: of the JPEG files, from 1 to 100.
        """
        return cls(_jpeg(picture, quality) for picture in pictures)

    @classmethod
    def load(cls, path: Path | str) -> ExemplarLibrary:
        """Return the library that :meth:`save` wrote.

        :raises ModelError: the file is missing, damaged, or of another kind.
        """
        try:
            entries = load_file(path)
            data, ends = entries["jpeg"], entries["end"].tolist()
        except (OSError, SafetensorError, KeyError) as error:
            raise ModelError(f"cannot read the exemplars {path}: {error}") from error
        starts = [0, *ends[:-1]]
        rising = all(start < end for start, end in zip(starts, ends, strict=True))
        if data.dtype != torch.uint8 or not rising or ends[-1:] != [len(data)]:
            raise ModelError(f"{path} is damaged: its pictures do not follow one another")
        return cls(data[start:end] for start, end in zip(starts, ends, strict=True))

    def save(self, path: Path) -> None:
        """Write all pictures into one file."""
        ends = torch.tensor([len(jpeg) for jpeg in self._jpegs]).cumsum(0)
        save_file({"jpeg": torch.cat(self._jpegs), "end": ends}, path)


def _jpeg(picture: Tensor, quality: int) -> Tensor:
    bgr = cv2.cvtColor(picture.numpy(), cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(np.asarray(encoded).reshape(-1))


def _thumbnail(picture: Tensor) -> Tensor:
    return adaptive_avg_pool2d(picture.permute(2, 0, 1)[None].float() / 255, GRID)


def _detail(picture: Tensor) -> Tensor:
    values = picture.permute(2, 0, 1).float() / 255
    steps = torch.zeros(values.shape[1:])
    steps[:, :-1] += values.diff(dim=2).square().sum(dim=0)
    steps[:-1] += values.diff(dim=1).square().sum(dim=0)
    return adaptive_avg_pool2d(steps[None], GRID).sqrt()


def load_library(named: Path | str, *, of_package: bool) -> ExemplarLibrary | None:
    """Return the library that the option ``exemplars`` names, see
    :class:`~vmem_ros.generation.vmem.options.VMemOptions`.

    :param of_package: the model is one of the package.
    :raises ModelError: it cannot be read.
    """
    if named == "none" or (named == "auto" and not of_package):
        return None
    if named not in ("auto", "package"):
        return ExemplarLibrary.load(named)
    folder = shipped_folder(EXEMPLARS)
    check_manifest(folder)
    return ExemplarLibrary.load(folder / FILE)
