"""The pose of a new camera frame, corrected by what memory shows at its pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import geodesic_distance
from vmem_ros.pose_refinement.icp import IcpResult, Picture, align
from vmem_ros.pose_refinement.options import PoseRefinementOptions
from vmem_ros.types import IMAGINED_CONFIDENCE, Projection, View

# Of what was imagined at least half, a pixel is no place to hold on to.
_OBSERVED = (1 + IMAGINED_CONFIDENCE) / 2


@dataclass(frozen=True, eq=False)
class Refinement:
    """What became of the pose of an observed view.

    :param T_correction: [4, 4] float64, the identity unless accepted: the corrected ``T_world_camera`` is the given
        one times this.
    :param translation_m: how far the camera was moved; if that was not accepted, how far memory would have had it.
    :param rotation_deg: likewise how far it was turned.
    :param fit_before: mean robust disagreement of frame and memory at the given pose, in pixels that had no part in
        finding the correction: 0 if they agree everywhere, 1 if nowhere.
    :param fit_after: the same at the corrected pose.
    :param overlap: share of the picture in which frame and memory both have depth on smooth surfaces.
    :param directions: along how many of the six directions of motion enough was known to move.
    :param accepted: whether the view was stored at the corrected pose.
    :param reason: why, in words.
    """

    T_correction: Tensor
    translation_m: float
    rotation_deg: float
    fit_before: float
    fit_after: float
    overlap: float
    directions: int
    accepted: bool
    reason: str

    def __str__(self) -> str:
        if not self.accepted:
            return f"the pose stays as given: {self.reason}"
        moved = f"{self.translation_m * 1e3:.1f} mm and {self.rotation_deg:.2f} degrees"
        return f"the pose was corrected by {moved}: {self.reason}"


def refine_pose(
    view: View, shown: Projection, *, mask: Tensor | None = None, options: PoseRefinementOptions | None = None
) -> Refinement:
    """Align a frame with depth to what memory shows at its pose, and say whether that is to be believed.

    Only what a camera once saw is aligned to; what was imagined says nothing about where the camera is. Nothing is
    carried over from one frame to the next, so a wrong correction has no heirs, and equal frames and memories give
    equal corrections. The work depends on the size of the picture alone, and is done in float64 on the CPU.

    :param shown: the projection of memory at the camera and pose of the view.
    :param mask: [H, W] bool: pixels that do not count, because what they show moves.
    """
    options = options or PoseRefinementOptions()
    if view.depth is None or not bool(torch.isfinite(view.depth).any()):
        return _refused("the view has no measured depth")
    seen = torch.ones(view.camera.size, dtype=torch.bool) if mask is None else ~mask.cpu()
    frame = Picture(view.image.cpu(), view.depth.cpu(), seen, view.camera)
    remembered = shown.seen & (shown.confidence > _OBSERVED)
    model = Picture(shown.image.cpu(), shown.depth.cpu(), remembered.cpu(), view.camera)
    return _decided(align(frame, model, options), options)


def summary_of(refinements: Sequence[Refinement | None]) -> str:
    """Return in words what became of the poses of many views; ``None`` stands for one that was not to be refined."""
    asked = [each for each in refinements if each is not None]
    moved = [each for each in asked if each.accepted]
    if not moved:
        return "as given" if not asked else f"as given: none of {len(asked)} was corrected"
    metres, degrees = (
        math.sqrt(sum(length**2 for length in lengths) / len(moved))
        for lengths in ([each.translation_m for each in moved], [each.rotation_deg for each in moved])
    )
    return f"{len(moved)} of {len(asked)} corrected, by {metres * 1e3:.1f} mm and {degrees:.2f} degrees (r.m.s.)"


def _refused(reason: str) -> Refinement:
    return Refinement(torch.eye(4, dtype=torch.float64), 0.0, 0.0, 1.0, 1.0, 0.0, 0, False, reason)


def _decided(found: IcpResult, options: PoseRefinementOptions) -> Refinement:
    """Return the refinement that follows from an alignment."""
    complaint = _complaint(found, options)
    translation_m, rotation_deg = _length(found.T if complaint is None else found.T_aligned)
    return Refinement(
        T_correction=found.T if complaint is None else torch.eye(4, dtype=torch.float64),
        translation_m=translation_m,
        rotation_deg=rotation_deg,
        fit_before=found.loss_before,
        fit_after=found.loss_after,
        overlap=found.overlap,
        directions=found.directions,
        accepted=complaint is None,
        reason=complaint or f"disagreement falls from {found.loss_before:.2f} to {found.loss_after:.2f}",
    )


def _length(T: Tensor) -> tuple[float, float]:
    """Return (metres, degrees) of a motion."""
    angle = geodesic_distance(T, torch.eye(4, dtype=torch.float64), translation_weight=0.0)
    return float(torch.linalg.vector_norm(T[:3, 3])), math.degrees(float(angle))


def _complaint(found: IcpResult, options: PoseRefinementOptions) -> str | None:
    """Return why a correction is not to be believed, or ``None``."""
    translation_m, rotation_deg = _length(found.T_aligned)
    if found.overlap < options.min_overlap:
        return f"memory shows surfaces in {found.overlap:.0%} of the frame, {options.min_overlap:.0%} are needed"
    if found.agreement < options.min_agreement:
        return f"depth agrees in {found.agreement:.0%} of the overlap, {options.min_agreement:.0%} are needed"
    if not found.directions:
        return "frame and memory do not tell in which direction to move"
    if translation_m > options.max_translation_m or rotation_deg > options.max_rotation_deg:
        return (
            f"{translation_m * 1e3:.0f} mm and {rotation_deg:.1f} degrees are more than is to be believed "
            f"({options.max_translation_m * 1e3:.0f} mm, {options.max_rotation_deg:g} degrees)"
        )
    if found.significance < options.min_significance:
        return f"it would not fit better: disagreement is {found.loss_before:.2f}, and would be {found.loss_after:.2f}"
    return None
