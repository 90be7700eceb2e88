"""Three questions to a world: does it keep what it showed, does it agree with itself, does it agree with the truth?

Each protocol takes pictures that were asked for along a path and returns plain figures. The baseline that stands beside
every figure answers each pose with the nearest view a camera really took: it never invents anything, agrees with itself
exactly, and is wrong wherever the pose was not there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import torch
from torch import Tensor

from vmem_ros.evaluation.matching import detect_features, estimate_pose, match_accuracy
from vmem_ros.evaluation.metrics import depth_errors, pose_error, psnr, ssim
from vmem_ros.geometry import geodesic_distance
from vmem_ros.types import Target, View


@dataclass(frozen=True)
class Consistency:
    """How alike two pictures of one pose are.

    :param psnr_db: peak signal-to-noise ratio; ``inf`` if identical.
    :param ssim: structural similarity, at most 1.
    :param match: match accuracy, 0 to 1; NaN without texture.
    """

    psnr_db: float
    ssim: float
    match: float


@dataclass(frozen=True)
class Fidelity:
    """How close one generated view is to what a camera would have seen.

    :param psnr_db: against the true picture.
    :param psnr_remembered_db: the same where the confidence is at least one half; NaN if nowhere.
    :param ssim: structural similarity.
    :param match: match accuracy.
    :param depth_abs_rel: mean relative depth error; NaN without depth.
    :param depth_median_m: median depth error in metres; NaN without depth.
    :param rotation_deg: between the pose asked for and the pose the picture shows, found by matching it with the truth;
        NaN where that fails.
    :param translation_m: likewise.
    """

    psnr_db: float
    psnr_remembered_db: float
    ssim: float
    match: float
    depth_abs_rel: float
    depth_median_m: float
    rotation_deg: float
    translation_m: float


def consistency(image: Tensor, reference: Tensor) -> Consistency:
    """Return how alike two pictures [H, W, 3] of the same pose are."""
    match = match_accuracy(detect_features(image), detect_features(reference))
    return Consistency(psnr(image, reference), ssim(image, reference), match)


def closed_loop(images: Sequence[Tensor]) -> Consistency:
    """Compare the last picture of a loop with the first, whose pose it returned to (PSNR_C and SSIM_C of Spatia).

    :raises ValueError: fewer than two pictures.
    """
    if len(images) < 2:
        raise ValueError(f"a closed loop needs at least 2 pictures, got {len(images)}")
    return consistency(images[-1], images[0])


def back_and_forth(images: Sequence[Tensor]) -> Consistency:
    """Compare every picture of a return leg with its outward twin, and return the mean.

    :param images: along a path that goes out and back through the same poses: pose i equals pose n - 1 - i. The turning
        point of an odd path has no twin.
    :raises ValueError: fewer than two pictures.
    """
    n = len(images)
    if n < 2:
        raise ValueError(f"out and back needs at least 2 pictures, got {n}")
    return mean([consistency(images[n - 1 - i], images[i]) for i in range(n // 2)])


def against_truth(view: View, truth: View, confidence: Tensor | None = None) -> Fidelity:
    """Compare a view with what a camera at its pose would have seen.

    :param truth: with depth.
    :param confidence: [H, W] in [0, 1] of the view: where it was remembered. ``None`` counts no pixel as remembered.
    """
    remembered = torch.zeros(view.camera.size, dtype=torch.bool) if confidence is None else confidence >= 0.5
    depth = depth_errors(view.depth, truth.depth) if view.depth is not None and truth.depth is not None else None
    found, true = detect_features(view.image), detect_features(truth.image)
    shown = None if truth.depth is None else estimate_pose(found, view.camera, true, truth)
    error = None if shown is None else pose_error(shown, truth.T_world_camera)
    return Fidelity(
        psnr_db=psnr(view.image, truth.image),
        psnr_remembered_db=psnr(view.image, truth.image, mask=remembered),
        ssim=ssim(view.image, truth.image),
        match=match_accuracy(found, true),
        depth_abs_rel=math.nan if depth is None else depth.abs_rel,
        depth_median_m=math.nan if depth is None else depth.median_m,
        rotation_deg=math.nan if error is None else error.rotation_deg,
        translation_m=math.nan if error is None else error.translation_m,
    )


Figures = TypeVar("Figures", Consistency, Fidelity)


def mean(figures: Sequence[Figures]) -> Figures:
    """Return the mean of each figure, without the NaN ones (a figure that is nowhere known stays NaN).

    One pair of identical pictures makes the mean PSNR infinite, so identical pairs count only where all are identical.
    """
    if not figures:
        raise ValueError("no figures to average")
    means = {}
    for field in fields(figures[0]):
        values = [getattr(f, field.name) for f in figures]
        finite = [v for v in values if math.isfinite(v)]
        known = finite or [v for v in values if not math.isnan(v)]
        means[field.name] = sum(known) / len(known) if known else math.nan
    return type(figures[0])(**means)


def nearest_view(target: Target, observed: Sequence[View]) -> View:
    """Return the observed view whose pose is nearest to the target: the "copy the nearest view" baseline.

    :raises ValueError: nothing was observed.
    """
    if not observed:
        raise ValueError("the nearest view of none was asked for: pass the views that a camera took")
    poses = torch.stack([view.T_world_camera for view in observed])
    # A metre away is about as bad as half a radian aside, in a room.
    distance = geodesic_distance(target.T_world_camera, poses, translation_weight=0.5)
    return observed[int(distance.argmin())]
