"""Detail for a projection: depth and colours of a few stored views, fused along what memory knows of the surface.

Sensors err: depth is noisy, poses are off by a centimetre, exposure drifts. So no single view is believed. The depth of
each pixel becomes the weighted mean of what the views measured there, and its colour that of the views, with weights
that change smoothly over the picture: how similarly a view looked at the point, from how far, how well its depth
agrees, how near the border of its picture is. Choosing one view for each pixel would tear pictures into patches.
(Blending by such penalties is that of Buehler et al., Unstructured Lumigraph Rendering, 2001.)

A view that looked *through* a point proves that no surface is there, unless another view confirms it; then the depth
behind is tried instead. The work depends on the target's size, not on the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.kernels import usable
from vmem_ros.memory import compiled_blending as compiled
from vmem_ros.memory.other_view import ONE_SURFACE, Look, OtherView, TargetPoints
from vmem_ros.types import View

# Differences at which a view counts a third (exp(-1)): of the angle between its ray and the target's in radians, for
# colour and for depth, and of its depth, relative.
_ANGLE, _ANGLE_OF_DEPTH, _DEPTH, _DEPTH_BEFORE_FUSION = 0.2, 0.2, 0.03, 0.1
# Differences of angle and distance up to which views are as good as each other, so that the nearest does not win alone.
_EQUAL = 0.1
# Depths agree within 3 %; beyond, the view saw another surface.
_TOLERANCE = 0.03
# Weight of a view that has no depth at a pixel: it may have seen the point, or what is in front of it.
_WITHOUT_DEPTH = 0.2
# Exponents of angles end here: beyond, all views are from quite another side.
_FARTHEST = 40.0
# Over this share of its smaller side a picture fades towards its border, down to this weight.
_BORDER, _AT_BORDER = 0.05, 0.02
# What differs by more in depth is another surface.
_OTHER_SURFACE = 0.06
# Weight of the depth that is asked about, where that of a view that looks from the same place is 1: elements of what
# cameras saw say where to look, and what was measured there says how far it is. Of what was only imagined there is
# nothing else, and what views measured near by is something else.
_OF_MEMORY, _OF_IMAGINATION = 1e-4, 1.0
# Where a view looks at a point depends on how far it is. So depth is fused twice, the second time where the first says.
_FUSIONS = 2
# Less than this is no answer; with less than this, the next group is asked, too. What a view from quite another side
# happens to have there, is a poor answer, but better than none.
_LEAST, _POOR = 1e-30, 1e-9
# What the compiled kernel is told of these.
_CONSTANTS = {
    "angle": _ANGLE,
    "angle_of_depth": _ANGLE_OF_DEPTH,
    "depth": _DEPTH,
    "depth_before_fusion": _DEPTH_BEFORE_FUSION,
    "equal": _EQUAL,
    "tolerance": _TOLERANCE,
    "without_depth": _WITHOUT_DEPTH,
    "border": _BORDER,
    "at_border": _AT_BORDER,
    "other_surface": _OTHER_SURFACE,
    "of_memory": _OF_MEMORY,
    "of_imagination": _OF_IMAGINATION,
    "least": _LEAST,
    "poor": _POOR,
    "farthest": _FARTHEST,
    "one_surface": ONE_SURFACE,
    "fusions": _FUSIONS,
}


@dataclass(frozen=True, eq=False)
class Blended:
    """Answers of the views at every target pixel.

    :param image: [H, W, 3] uint8, zero where ``found`` is false.
    :param depth: [H, W] float32: fused where views measured it, else as given; the depth behind a refuted surface where
        that was found.
    :param provenance: [H, W] float32, 1 where a real camera saw the pixel.
    :param found: [H, W] bool: at least one view answers.
    :param refuted: [H, W] bool: no view answers here, and at least one saw through the surface.
    """

    image: Tensor
    depth: Tensor
    provenance: Tensor
    found: Tensor
    refuted: Tensor


class Shown(NamedTuple):
    """A view to be blended.

    :param gain: [3] float32 by which its colours are multiplied, so that they are exposed like those of the others.
    :param weight: of its colours against those of others, such as of a blurred picture against sharp ones.
    """

    view: View
    gain: Tensor
    weight: float = 1.0


def blend_views(
    groups: Sequence[Sequence[Shown]], camera: Camera, T_world_camera: Tensor, depth: Tensor, imagined: Tensor
) -> Blended:
    """Fetch colours for the target pixels whose z-depth [H, W] is known (NaN elsewhere), and fuse their depth.

    :param imagined: [H, W] bool: no camera has seen what is there.
    :param groups: of views with depth, on the device of ``depth``. The views of a group are blended; each group is
        asked where none before it answered well. Generated views are copies where they are not invented, so their
        groups come last.
    """
    every = [shown for group in groups for shown in group]
    others = iter(
        OtherView.several(
            [shown.view for shown in every],
            camera,
            T_world_camera,
            gains=[shown.gain for shown in every],
            weights=[shown.weight for shown in every],
        )
    )
    asked = [[next(others) for _ in group] for group in groups]
    if library := usable(depth, *(shown.view.image for shown in every)):
        return Blended(*compiled.blend(library, asked, camera, depth, imagined, _CONSTANTS))
    answers = _Answers(depth, imagined)
    real = [group for group in asked if any(each.view.source == "observed" for each in group)]
    known = torch.isfinite(depth).flatten().nonzero().squeeze(1)
    for group in real:
        answers.ask(group, answers.open(known))
    refuted = answers.go_behind(known)
    for group in real:
        answers.ask(group, answers.open(refuted))
    for group in asked:
        if group not in real:
            answers.ask(group, answers.open(known))
    return answers.blended(refuted)


class _Answers:
    """What the views say of each of the P target pixels."""

    def __init__(self, depth: Tensor, imagined: Tensor) -> None:
        self._size = depth.shape
        self._depth = depth.flatten().clone()
        self._trust = torch.where(imagined.flatten(), _OF_IMAGINATION, _OF_MEMORY)
        # [P] smallest depth that a view saw behind the asked one, or infinite
        self._behind = torch.full_like(self._depth, torch.inf)
        self._color = torch.zeros(len(self._depth), 3, device=depth.device)
        self._provenance = torch.zeros_like(self._depth)
        self._weight = torch.zeros_like(self._depth)

    def ask(self, views: Sequence[OtherView], pixels: Tensor) -> None:
        """Take the answers of views at some pixels [n] int64 that have none, or poorer ones."""
        if not views or not len(pixels):
            return
        points = TargetPoints.of(self._depth.view(self._size), pixels)
        angles = [view.angle_and_distance(points) for view in views]
        for _ in range(_FUSIONS):
            points = points._replace(z=self._fused(views, angles, points, pixels))
        total, provenance = torch.zeros_like(points.z), torch.zeros_like(points.z)
        color = points.z.new_zeros(len(pixels), 3)
        for view, (angle, distance) in zip(views, angles, strict=True):
            look = view.look(points)
            seen = view.provenance(look)
            weight = _color_weight(view, look, angle, distance)
            if view.view.source == "observed":
                # What a camera is not to have seen, because it moves, is none of its answers.
                weight *= seen > 0
            total += weight
            color += weight[:, None] * view.colors(look)
            provenance += weight * seen
        better = (total > self._weight.index_select(0, pixels)).nonzero().squeeze(1)
        pixels = pixels.index_select(0, better)
        self._depth.index_copy_(0, pixels, points.z.index_select(0, better))
        self._weight.index_copy_(0, pixels, total.index_select(0, better))
        self._color.index_copy_(0, pixels, color.index_select(0, better))
        self._provenance.index_copy_(0, pixels, provenance.index_select(0, better))

    def _fused(
        self,
        views: Sequence[OtherView],
        angles: Sequence[tuple[Tensor, Tensor]],
        points: TargetPoints,
        pixels: Tensor,
    ) -> Tensor:
        """Return the depth [n] of the points as the views measured it together, and note what they saw behind."""
        # What is asked about is a measurement, too.
        total = self._trust.index_select(0, pixels) / points.z.square()
        mean = total * points.z
        behind = torch.full_like(points.z, torch.inf)
        confirmed = torch.zeros_like(points.z, dtype=torch.bool)
        for view, (angle, _) in zip(views, angles, strict=True):
            # The depth of a generated view is partly invented, and proves nothing.
            if view.view.source == "generated":
                continue
            look = view.look(points, fine=True)
            error = look.ratio - 1
            found = view.along(points, look.ratio)
            weight = torch.exp(-angle / _ANGLE_OF_DEPTH**2 - (error / _DEPTH_BEFORE_FUSION).square())
            # Errors of depth grow with depth.
            weight = torch.nan_to_num(weight / look.depth.square(), nan=0.0)
            total += weight
            mean += torch.where(weight > 0, weight * found, 0.0)
            confirmed |= error.abs() <= _TOLERANCE
            through = (error > _TOLERANCE) & torch.isfinite(found) & (found > points.z)
            behind = torch.where(through, torch.minimum(behind, found), behind)
        behind = torch.minimum(behind, self._behind.index_select(0, pixels))
        self._behind.index_copy_(0, pixels, torch.where(confirmed, torch.inf, behind))
        return mean / total

    def open(self, pixels: Tensor) -> Tensor:
        """Return which of the pixels have no good answer."""
        return pixels.index_select(0, (self._weight.index_select(0, pixels) <= _POOR).nonzero().squeeze(1))

    def go_behind(self, pixels: Tensor) -> Tensor:
        """Move the points that views looked through, and that nobody confirms, to what was seen behind them.

        :return: the pixels [m].
        """
        behind = self._behind.index_select(0, pixels)
        moved = pixels.index_select(0, torch.isfinite(behind).nonzero().squeeze(1))
        self._depth.index_copy_(0, moved, self._behind.index_select(0, moved))
        self._weight.index_fill_(0, moved, 0.0)
        return moved

    def blended(self, refuted: Tensor) -> Blended:
        """Return everything; ``refuted`` [m] are the pixels whose surface was given up."""
        found = self._weight > _LEAST
        total = torch.where(found, self._weight, 1.0)
        lost = torch.zeros_like(found)
        lost[refuted] = True
        return Blended(
            image=(self._color / total[:, None]).round_().clamp_(0, 255).to(torch.uint8).view(*self._size, 3),
            depth=self._depth.view(self._size),
            provenance=(self._provenance / total * found).view(self._size),
            found=found.view(self._size),
            refuted=(lost & ~found).view(self._size),
        )


def _color_weight(view: OtherView, look: Look, angle: Tensor, distance: Tensor) -> Tensor:
    """Return how much a view's colours count at points: [n].

    :param angle: and ``distance`` [n], see :meth:`.OtherView.angle_and_distance`.
    """
    farther = (distance.clamp(min=1).sqrt() - 1).square()
    error = look.ratio - 1
    agreement = torch.exp(-(error / _DEPTH).square()) * (error.abs() <= _OTHER_SURFACE)
    agreement = torch.where(error.isnan(), _WITHOUT_DEPTH, agreement)
    # Who looked from nearly the same place shows the point nearly as it is; nobody is better than that.
    nearness = torch.exp(-(angle / _ANGLE**2).clamp(max=_FARTHEST)) / (
        distance.clamp(min=1) * (1e-3 + (angle + farther) / _EQUAL**2)
    )
    camera = view.view.camera
    margin = torch.minimum(torch.minimum(look.u, camera.width - look.u), torch.minimum(look.v, camera.height - look.v))
    border = (margin / (_BORDER * min(camera.size))).clamp(_AT_BORDER, 1)
    return torch.where(look.inside, agreement * nearness * border * view.weight, 0.0)
