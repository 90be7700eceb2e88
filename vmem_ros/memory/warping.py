"""Detail for a projection: the stored pixels of a few views, fetched along the surfels' depth.

Surfels are a few pixels wide, which is enough to know where a surface is and too coarse to look at. So every target
pixel asks the view that saw its surfel best. If that view's own depth agrees, it answers with its colour; if not, the
other views are asked. A view that looked *through* the point proves that no surface is there; then its depth behind
is tried instead. The work depends on the target size, not on the history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, invert, pixel_rays
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

    :param color: [H, W, 3] float32 in 0..255, zero where ``found`` is false.
    :param depth: [H, W] float32: as given where found, or the depth behind a refuted surface where that was found.
    :param provenance: [H, W] float32, 1 where a real camera saw the pixel.
    :param found: [H, W] bool: at least one view confirms the surface.
    :param refuted: [H, W] bool: no view confirms a surface here, and at least one saw through it.
    """

    color: Tensor
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

    :param views: views with depth, on the device of ``depth``. Loops run over them; there are K, not the history.
    :param first: [H, W] int64: which view each pixel asks first, -1 for none.
    """
    answers = _Answers(pixel_rays(camera, device=depth.device).view(-1, 3), depth.flatten().clone())
    T_view_target = [(invert(v.T_world_camera) @ T_world_camera).tolist() for v in views]
    looks = list(zip(range(len(views)), views, T_view_target, strict=True))
    assigned = first.flatten()
    for number, view, T in looks:
        answers.ask(number, view, T, (assigned == number).nonzero().squeeze(1))
    # Whoever got no answer asks all views in turn, the most voted first.
    answers.ask_all(looks, torch.isfinite(answers.depth).logical_and_(answers.view < 0).nonzero().squeeze(1))
    refuted = (answers.view < 0) & torch.isfinite(answers.behind)
    answers.depth = torch.where(refuted, answers.behind, answers.depth)
    answers.ask_all(looks, refuted.nonzero().squeeze(1))
    found, size = answers.view >= 0, camera.size
    color, provenance = answers.fetch(views)
    return Warped(
        color=color.view(*size, 3),
        depth=torch.where(found, answers.depth, depth.flatten()).view(size),
        provenance=provenance.view(size),
        found=found.view(size),
        refuted=(refuted & ~found).view(size),
    )


@dataclass(eq=False)
class _Answers:
    """Which view answers at each of the P target pixels, and where in it."""

    rays: Tensor  # [P, 3] with z = 1
    depth: Tensor  # [P] asked depth
    view: Tensor = field(init=False)  # [P] int64 number of the view, or -1
    u: Tensor = field(init=False)  # [P] float32 pixel in that view, centres at +0.5
    v: Tensor = field(init=False)
    behind: Tensor = field(init=False)  # [P] smallest depth that a view saw behind the asked one, or infinite

    def __post_init__(self) -> None:
        self.view = torch.full_like(self.depth, -1, dtype=torch.int64)
        self.u, self.v = torch.zeros_like(self.depth), torch.zeros_like(self.depth)
        self.behind = torch.full_like(self.depth, torch.inf)

    def ask(self, number: int, view: View, T_view_target: list[list[float]], pixels: Tensor) -> None:
        """Ask one view about some pixels [n] and note where it agrees and where it looked through."""
        if not len(pixels):
            return
        assert view.depth is not None, "only views with depth can be warped"
        z = self.depth.index_select(0, pixels)
        x, y = (self.rays.index_select(0, pixels)[:, axis] * z for axis in (0, 1))
        px, py, pz = (r[0] * x + r[1] * y + r[2] * z + r[3] for r in T_view_target[:3])
        u, v, _ = _pixels(view.camera, (px, py, pz))
        inside = (pz > 0) & (u >= 0) & (u < view.camera.width) & (v >= 0) & (v < view.camera.height)
        u, v = torch.where(inside, u, 0.0), torch.where(inside, v, 0.0)
        ratio = view.depth.flatten().index_select(0, v.long() * view.camera.width + u.long()) / pz
        agrees = (inside & ((ratio - 1).abs() <= _TOLERANCE)).nonzero().squeeze(1)
        where = pixels.index_select(0, agrees)
        self.view.index_fill_(0, where, number)
        self.u.index_copy_(0, where, u.index_select(0, agrees))
        self.v.index_copy_(0, where, v.index_select(0, agrees))
        if view.source == "generated":
            return  # its depth is partly invented, and proves nothing
        through = (inside & (ratio > 1 + _TOLERANCE) & torch.isfinite(ratio)).nonzero().squeeze(1)
        where = pixels[through]
        # The surface that the view saw instead, as a depth in the target: z of (ratio * p - centre) turned back.
        moved = torch.zeros_like(ratio[through])
        for p, r in zip((px, py, pz), T_view_target, strict=False):
            moved += (p[through] * ratio[through] - r[3]) * r[2]
        moved = torch.where(moved > z[through], moved, torch.inf)
        self.behind[where] = torch.minimum(self.behind[where], moved)

    def ask_all(self, looks: Sequence[tuple[int, View, list[list[float]]]], pixels: Tensor) -> None:
        """Ask the views one after the other, each about the pixels [n] that none before it answered."""
        for number, view, T_view_target in looks:
            self.ask(number, view, T_view_target, pixels)
            pixels = pixels[self.view[pixels] < 0]

    def fetch(self, views: Sequence[View]) -> tuple[Tensor, Tensor]:
        """Return colours [P, 3] float32 in 0..255 and provenance [P] of the pixels that were answered, else 0."""
        color, provenance = torch.zeros_like(self.rays), torch.zeros_like(self.depth)
        for number, view in enumerate(views):
            pixels = (self.view == number).nonzero().squeeze(1)
            u, v = self.u.index_select(0, pixels), self.v.index_select(0, pixels)
            color.index_copy_(0, pixels, _bilinear(view.image, u, v))
            if view.confidence is None:
                provenance.index_fill_(0, pixels, 1.0)
            else:
                nearest = v.long() * view.camera.width + u.long()
                provenance.index_copy_(0, pixels, view.confidence.flatten().index_select(0, nearest))
        return color, provenance


def _pixels(camera: Camera, point: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Return (u, v, z) of points given as x, y, z, without checks."""
    x, y, z = point
    return (camera.fx * x + float(camera.K[0, 1]) * y) / z + camera.cx, camera.fy * y / z + camera.cy, z


def _bilinear(image: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Return colours [n, 3] float32 of an image [H, W, 3] at pixel coordinates with centres at +0.5."""
    height, width = image.shape[:2]
    grid = torch.stack([u * (2 / width) - 1, v * (2 / height) - 1], dim=-1)[None, None]
    planes = image.permute(2, 0, 1).float()[None]
    sampled = torch.nn.functional.grid_sample(planes, grid, padding_mode="border", align_corners=False)
    return sampled[0, :, 0].T.contiguous()
