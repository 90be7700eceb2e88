"""Details of a picture of another place, laid over what a network drew where nothing is known."""

from __future__ import annotations

import cv2
import torch
from torch import Tensor

from vmem_ros.generation.exemplars.choice import choose, cropped
from vmem_ros.generation.exemplars.library import ExemplarLibrary
from vmem_ros.types import Projection

# Standard deviation of the blur that divides colours, which the network says, from details; share of the longer side.
_BLUR = 0.06
# Details begin at the border of what is known and are whole at three times this distance; share of the longer side.
_RISE = 0.02
# Details that are in the wrong place cost as much as their square: a little weaker, they look no worse.
_STRENGTH = 0.9
# A picture that is known but for less than this is left as it is.
_LEAST = 0.02


def lend_details(image: Tensor, projection: Projection, library: ExemplarLibrary, generator: torch.Generator) -> Tensor:
    """Return an image [H, W, 3] uint8 with details where memory shows nothing, if any picture fits.

    :param image: what a network drew; what is remembered is taken from the projection to choose by, and stays.
    :param projection: what memory shows there, in the same size.
    :param generator: on the CPU: equal states give equal details.
    """
    seen = projection.seen.cpu()
    if float((~seen).float().mean()) < _LEAST:
        return image
    drawn = image.cpu()
    known = torch.where(seen[..., None], projection.image.cpu(), drawn).permute(2, 0, 1).float() / 255
    chosen = choose(known, (~seen).float(), library, generator)
    if chosen is None:
        return image
    exemplar = library.picture(chosen.number).permute(2, 0, 1).float() / 255
    exemplar = cropped(exemplar.flip(-1) if chosen.mirrored else exemplar, (seen.shape[0], seen.shape[1]))
    longer = max(seen.shape)
    detailed = _blurred(known, _BLUR * longer) + _STRENGTH * (exemplar - _blurred(exemplar, _BLUR * longer))
    distance = cv2.distanceTransform((~seen).to(torch.uint8).numpy(), cv2.DIST_L2, 5)
    share = 1 - torch.exp(-torch.from_numpy(distance) / (_RISE * longer))
    picture = (detailed * share + drawn.permute(2, 0, 1).float() / 255 * (1 - share)).clamp(0, 1)
    return (picture * 255).round().to(torch.uint8).permute(1, 2, 0).to(image.device)


def _blurred(picture: Tensor, deviation: float) -> Tensor:
    """Return a picture [3, H, W] blurred by a Gaussian."""
    values = picture.permute(1, 2, 0).numpy()
    blurred = cv2.GaussianBlur(values, (0, 0), deviation, borderType=cv2.BORDER_REPLICATE)
    return torch.from_numpy(blurred).permute(2, 0, 1)
