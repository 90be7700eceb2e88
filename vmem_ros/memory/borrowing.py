"""Holes of what memory shows, filled from pictures whose camera measured no depth there.

Sensors of depth see nothing of dark, glossy and transparent things, nor of what is far: these have no place in memory,
but cameras took their colours. A generator need not invent them. Where they are is guessed from the depth around the
hole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from vmem_ros.geometry.hole_filling import fill_depth, fill_picture
from vmem_ros.memory.other_view import OtherView, TargetPoints
from vmem_ros.types import Projection, Target, View

# With less of a picture than this there is nothing to guess from.
_LEAST_SEEN = 0.05
# A view that saw the guessed place measured about its depth.
_SAME_PLACE = 0.05
# Squared angle in radians between the rays of view and target, under which views count alike.
_NEAR = 0.05**2
# Seams are narrower.
_SEAM_PX = 7
# Levels of 255: ratios of darker colours are noise.
_DARK = 16.0


def borrow_colors(
    shown: Sequence[Projection], targets: Sequence[Target], views: Sequence[View]
) -> tuple[Projection, ...]:
    """Return what is shown at each target with holes filled where one of the views has colours and no depth.

    Borrowed pixels are seen, without depth, element or confidence: they are for the generator, not for whoever asks
    what is remembered. Their exposure is corrected, smoothly: by how much brighter things around are shown than lent.

    :param views: those that matter for the targets, on their device. Generated ones lend nothing, nor do pixels that no
        camera is to have seen.
    """
    lenders = [lender for view in views if (lender := _lender(view)) is not None]
    if not lenders:
        return tuple(shown)
    return tuple(_borrowed(each, target, lenders) for each, target in zip(shown, targets, strict=True))


def _borrowed(shown: Projection, target: Target, lenders: Sequence[View]) -> Projection:
    hole = ~shown.seen
    if not bool(hole.any()) or float(shown.seen.float().mean()) < _LEAST_SEEN:
        return shown
    depth = fill_depth(shown.depth)
    points = TargetPoints.of(depth, torch.arange(depth.numel(), device=depth.device))
    total, weight = torch.zeros(depth.numel(), 3, device=depth.device), torch.zeros(depth.numel(), device=depth.device)
    for other in OtherView.several(lenders, target.camera, target.T_world_camera):
        look = other.look(points)
        saw = look.inside & (other.provenance(look) > 0)
        lends = saw & torch.where(hole.flatten(), look.depth.isnan(), (look.ratio - 1).abs() < _SAME_PLACE)
        angle, _ = other.angle_and_distance(points)
        share = torch.where(lends, (angle + _NEAR) ** -2, 0.0)
        total += share[:, None] * torch.where(lends[:, None], other.colors(look), 0.0)
        weight += share
    found = (weight > 0).view(hole.shape)
    borrowed = hole & found
    if not bool(borrowed.any()):
        return shown
    colors = (total / weight.clamp(min=torch.finfo(weight.dtype).tiny)[:, None]).view(*hole.shape, 3)
    # A camera's exposure multiplies.
    gain = ((shown.image + _DARK) / (colors + _DARK)).log()
    colors = (colors + _DARK) * fill_picture(gain, shown.seen & found).exp() - _DARK
    image = torch.where(borrowed[..., None], colors.round().clamp(0, 255).to(torch.uint8), shown.image)
    return dataclasses.replace(shown, image=image, seen=shown.seen | borrowed)


def _lender(view: View) -> View | None:
    """Return a view whose pixels without depth are those that it lends; ``None`` if there are none.

    Seams without depth along the silhouettes of things belong to what is in front or to what is behind: who knows.
    """
    if view.source != "observed" or view.depth is None:
        return None
    missing = view.depth.isnan()
    if view.confidence is not None:
        missing = missing & (view.confidence > 0)
    wide = _opened(missing)
    if not bool(wide.any()):
        return None
    return view.having(depth=torch.where(missing & ~wide, torch.inf, view.depth))


def _opened(mask: Tensor) -> Tensor:
    """Return a mask [H, W] without what is narrower than :data:`_SEAM_PX` pixels."""
    margin = _SEAM_PX // 2
    outside = max_pool2d((~mask).float()[None], _SEAM_PX, 1, margin)
    return max_pool2d(1 - outside, _SEAM_PX, 1, margin)[0] > 0
