"""Detail for a projection: the stored pixels of a few views, fetched along the surfels' depth.

Surfels are a few pixels wide, which is enough to know where a surface is and too coarse to look at. So every target
pixel asks the view that saw its surfel best. If that view's own depth agrees, it answers with its colour; if not, the
other views are asked. A view that looked *through* the point proves that no surface is there; then its depth behind
is tried instead. The work depends on the target size, not on the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.memory.view_stack import Look, ViewStack
from vmem_ros.types import View

# Depths agree within 2 %; beyond, the view saw another surface.
_TOLERANCE = 0.02
# A view whose ray differs by this angle (radians) is as good as one that is twice as far away.
_ANGLE_SCALE = 0.3
# A generated view is a copy where it is not invented: it is asked after all real views that saw the surfel, and a view
# that is not known to have seen it after all that did.
_GENERATED_COST = 1e3
_UNSEEN_COST = 1e4


@dataclass(frozen=True, eq=False)
class Warped:
    """Answers of the views at every target pixel.

    :param image: [H, W, 3] uint8, zero where ``found`` is false.
    :param depth: [H, W] float32: as given where found, or the depth behind a refuted surface where that was found.
    :param provenance: [H, W] float32, 1 where a real camera saw the pixel.
    :param found: [H, W] bool: at least one view confirms the surface.
    :param refuted: [H, W] bool: no view confirms a surface here, and at least one saw through it.
    """

    image: Tensor
    depth: Tensor
    provenance: Tensor
    found: Tensor
    refuted: Tensor


def best_views(views: Sequence[View], saw: Tensor, points: Tensor, T_frame_views: Tensor, eye: Tensor) -> Tensor:
    """Return for each surfel the number of the view that shows it best from a new place: [n] int64, -1 if none does.

    :param saw: [K, n] bool: the view is known to have seen the surfel. One that only might have is asked last.
    :param points: [n, 3] surfel centres, in the frame of ``T_frame_views`` [K, 4, 4] and ``eye`` [3].
    """
    to_eye = points - eye.to(points)
    distance = torch.linalg.vector_norm(to_eye, dim=-1)
    best = torch.full((len(points),), -1, dtype=torch.int64, device=points.device)
    lowest = torch.full_like(distance, torch.inf)
    for number, (view, T) in enumerate(zip(views, T_frame_views, strict=True)):
        to_view = points - T[:3, 3].to(points)
        u, v, z = _pixels(view.camera, (to_view @ T[:3, :3].to(points)).unbind(-1))
        inside = (z > 0) & (u >= 0) & (u < view.camera.width) & (v >= 0) & (v < view.camera.height)
        length = torch.linalg.vector_norm(to_view, dim=-1)
        # 1 - cos of the angle between the two rays: half the squared angle.
        oblique = 1 - (to_view * to_eye).sum(dim=-1) / (length * distance)
        # A far view of a near surface is blurred; one that was nearer than the eye is as good as it gets.
        cost = oblique * (2 / _ANGLE_SCALE**2) + (length / distance).clamp(min=1) + _UNSEEN_COST * ~saw[number]
        if view.source == "generated":
            cost += _GENERATED_COST
        better = inside & (cost < lowest)
        best, lowest = torch.where(better, number, best), torch.where(better, cost, lowest)
    return best


def warp_views(views: Sequence[View], first: Tensor, camera: Camera, T_world_camera: Tensor, depth: Tensor) -> Warped:
    """Fetch colours for the target pixels whose z-depth [H, W] is known (NaN elsewhere).

    :param views: views with depth, on the device of ``depth``.
    :param first: [H, W] int64: which view each pixel asks first, -1 for none.
    """
    size = camera.size
    if not views:
        nowhere = torch.zeros_like(depth, dtype=torch.bool)
        black = torch.zeros(*size, 3, dtype=torch.uint8, device=depth.device)
        return Warped(black, depth, torch.zeros_like(depth), nowhere, nowhere)
    stack = ViewStack(views, camera, T_world_camera, depth.device)
    answers = _Answers(stack, depth)
    answers.ask_first(first.flatten())
    # Whoever got no answer asks all views in turn, the most voted first.
    answers.ask_all((torch.isfinite(answers.depth) & (answers.view < 0)).nonzero().squeeze(1))
    refuted = (answers.view < 0) & torch.isfinite(answers.behind)
    answers.depth = torch.where(refuted, answers.behind, answers.depth)
    answers.ask_all(refuted.nonzero().squeeze(1))
    found = answers.view >= 0
    image, provenance = answers.fetch(views)
    return Warped(
        image=image.view(*size, 3),
        depth=torch.where(found, answers.depth, depth.flatten()).view(size),
        provenance=provenance.view(size),
        found=found.view(size),
        refuted=(refuted & ~found).view(size),
    )


class _Answers:
    """Which view answers at each of the P target pixels, and where in it."""

    def __init__(self, stack: ViewStack, depth: Tensor) -> None:
        self._stack = stack
        rows, columns = (torch.arange(side, device=depth.device) + 0.5 for side in depth.shape)
        # [P] where the pixels are
        self._pixels = columns.expand(depth.shape).flatten(), rows[:, None].expand(depth.shape).flatten()
        self.depth = depth.flatten()  # [P] asked depth, NaN where nothing is asked
        # [P] smallest depth that a view saw behind the asked one, or infinite
        self.behind = torch.full_like(self.depth, torch.inf)

    def ask_first(self, number: Tensor) -> None:
        """Let every pixel ask the view of its own [P], where that is not -1."""
        asked = number.clamp(min=0)
        look = self._stack.look(asked, self._pixels, self.depth)
        agrees = ((look.ratio - 1).abs() <= _TOLERANCE) & (number >= 0)
        self.view = torch.where(agrees, asked, -1)  # [P] int64 number of the view, or -1
        self.u, self.v = look.u, look.v  # [P] float32 pixel in that view, centres at +0.5
        self._note_behind(look, asked, number >= 0, torch.arange(len(number), device=number.device))

    def ask_all(self, pixels: Tensor) -> None:
        """Ask the views one after the other, each about the pixels [n] that none before it answered."""
        for each in range(len(self._stack)):
            if not len(pixels):
                return
            u, v, z = (of_all.index_select(0, pixels) for of_all in (*self._pixels, self.depth))
            number = torch.full_like(pixels, each)
            look = self._stack.look(number, (u, v), z)
            agrees = (look.ratio - 1).abs() <= _TOLERANCE
            where = agrees.nonzero().squeeze(1)
            answered = pixels.index_select(0, where)
            self.view.index_fill_(0, answered, each)
            self.u.index_copy_(0, answered, look.u.index_select(0, where))
            self.v.index_copy_(0, answered, look.v.index_select(0, where))
            self._note_behind(look, number, ~agrees, pixels)
            pixels = pixels.index_select(0, (~agrees).nonzero().squeeze(1))

    def _note_behind(self, look: Look, number: Tensor, asked: Tensor, pixels: Tensor) -> None:
        """Remember what views saw behind the points [n] at ``pixels`` [n] that they looked through."""
        # The depth of a generated view is partly invented, and proves nothing.
        through = (look.ratio > 1 + _TOLERANCE) & torch.isfinite(look.ratio) & asked & self._stack.observed[number]
        through = through.nonzero().squeeze(1)
        if not len(through):
            return
        pixels, number = pixels.index_select(0, through), number.index_select(0, through)
        ratio, z = look.ratio.index_select(0, through), self.depth.index_select(0, pixels)
        # The surface that the view saw instead, as a depth in the target: z of R^T (ratio * (R p + t) - t).
        behind = ratio * z + (ratio - 1) * self._stack.setback.index_select(0, number)
        behind = torch.where(behind > z, behind, torch.inf)
        self.behind.scatter_reduce_(0, pixels, behind, "amin")

    def fetch(self, views: Sequence[View]) -> tuple[Tensor, Tensor]:
        """Return colours [P, 3] uint8 and provenance [P] of the pixels that were answered, else 0."""
        number, answered = self.view.clamp(min=0), self.view >= 0
        color = self._stack.colors([view.image for view in views], number, self.u, self.v)
        seen = [
            torch.ones(v.camera.size, device=self.depth.device) if v.confidence is None else v.confidence for v in views
        ]
        provenance = self._stack.nearest(seen, number, self.u, self.v)
        return color.round_().to(torch.uint8) * answered[:, None], provenance * answered


def _pixels(camera: Camera, point: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return (u, v, z) of points given as x, y, z, without checks."""
    x, y, z = point
    return (camera.fx * x + float(camera.K[0, 1]) * y) / z + camera.cx, camera.fy * y / z + camera.cy, z
