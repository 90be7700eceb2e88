"""Where a sheet of depth is torn: each pixel beside a jump belongs to one of the two surfaces, not to the ramp between.

Networks draw a ramp where depth jumps. Dropped, its pixels would leave a hole around everything that stands in front of
something; kept, they would hang in the air.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d, pad

from vmem_ros.geometry import Camera
from vmem_ros.pointmaps.edges import LEAST_COSINE, viewing_cosine

# A ramp is at most so wide, as a share of the smaller side of the picture: what is wider is a surface seen at a slant.
_WIDEST = 1 / 32
# Beside something steeper, this is the foot of the ramp.
_FOOT = 2.5 * LEAST_COSINE


def torn(depth: Tensor, image: Tensor, camera: Camera) -> tuple[Tensor, Tensor]:
    """Return the depth with its ramps replaced by one of the surfaces beside them, and where that was done.

    Surfaces grow into a ramp from both sides, a pixel at a time; a pixel joins the neighbour whose colour is most like
    its own.

    :param depth: [H, W] z-depth; NaN unknown, +Inf nothing there.
    :param image: [H, W, 3] uint8.
    :return: depth [H, W] and bool [H, W].
    """
    steps = max(1, round(min(depth.shape) * _WIDEST))
    cosine = viewing_cosine(depth, camera)
    steep = cosine < LEAST_COSINE
    narrow = steep & ~_opened(steep, steps)
    # From here on only the pixels of ramps are touched, on maps with a border, so that each has four neighbours.
    width = depth.shape[1] + 2
    beside = torch.tensor([1, -1, width, -width], device=depth.device)
    ramp = _with_feet(pad(narrow, (1, 1, 1, 1)).flatten(), _bordered(cosine), beside, steps)
    colors = torch.stack([_bordered(channel) for channel in image.to(depth).unbind(-1)], dim=-1)
    out = _bordered(depth)
    out[ramp] = torch.nan
    while len(ramp):
        around = ramp[:, None] + beside
        near = out[around]
        unlike = (colors[around] - colors[ramp][:, None]).square().sum(dim=-1)
        unlike = torch.where(near.isnan(), torch.inf, unlike)
        least = unlike.argmin(dim=1, keepdim=True)
        taken = near.gather(1, least)[:, 0]
        joined = ~taken.isnan()
        if not bool(joined.any()):
            break
        out[ramp[joined]] = taken[joined]
        ramp = ramp[~joined]
    # What no surface reaches stays as it is.
    out = out.view(-1, width)[1:-1, 1:-1]
    out = torch.where(out.isnan(), depth, out)
    return out, (out != depth) & ~depth.isnan()


def _with_feet(ramp: Tensor, cosine: Tensor, beside: Tensor, steps: int) -> Tensor:
    """Return the pixels of ramps and of their feet, which reach so many steps from them, as indices [n] int64.

    :param ramp: [P] bool.
    :param cosine: [P] of the surface; NaN beyond the border.
    """
    edge = ramp.nonzero().squeeze(1)
    for _ in range(steps):
        around = (edge[:, None] + beside).flatten()
        edge = around[(cosine[around] < _FOOT) & ~ramp[around]].unique()
        ramp[edge] = True
    return ramp.nonzero().squeeze(1)


def _bordered(values: Tensor) -> Tensor:
    """Return a map [H, W] with a border of NaN, flat."""
    return pad(values, (1, 1, 1, 1), value=torch.nan).flatten()


def _opened(mask: Tensor, radius: int) -> Tensor:
    """Return the parts of a mask [H, W] in which a square of ``2 radius + 1`` pixels fits."""
    return _dilated(~_dilated(~mask, radius), radius)


def _dilated(mask: Tensor, radius: int) -> Tensor:
    """Return where one of the pixels in the square of ``2 radius + 1`` pixels around is in a mask [H, W]."""
    size = 2 * radius + 1
    across = max_pool2d(mask.float()[None, None], (1, size), stride=1, padding=(0, radius))
    return max_pool2d(across, (size, 1), stride=1, padding=(radius, 0))[0, 0] > 0
