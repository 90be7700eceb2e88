"""How far poses may be corrected, and what a correction has to prove."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, kw_only=True)
class PoseRefinementOptions:
    """Options of :func:`~vmem_ros.pose_refinement.refine_pose`.

    :param max_translation_m: a larger correction is refused. Trackers are off by one or two centimetres; what seems to
        be off by more is another place that looks alike, or a pose that somebody should look at.
    :param max_rotation_deg: likewise.
    :param min_overlap: share of the picture in which frame and memory both have depth on smooth surfaces. With less,
        a corner of the picture would decide about all of it.
    :param min_agreement: share of that in which depths agree once they are aligned. Robust weights stand a bit less
        than half of wrong pixels, and a frame that mostly disagrees shows something else.
    :param deviation_m: by how much given positions are usually off, as standard deviation. Along a direction that the
        alignment knows less well than that, nothing moves.
    :param deviation_deg: likewise of rotations.
    :param memory_weight: how much of what aligns a frame to memory is applied: 1 believes memory alone. But memory is
        made of frames whose poses were off just as much, and of their alignments: with 1 their errors add up to a walk
        away from the poses that come, on which planners and other nodes rely. With a half, what one frame got wrong
        is halved with each that follows.
    :param min_significance: by so many standard errors the pixels that had no part in the solution must fit better.
    """

    max_translation_m: float = 0.05
    max_rotation_deg: float = 3.0
    min_overlap: float = 0.2
    min_agreement: float = 0.5
    deviation_m: float = 0.01
    deviation_deg: float = 0.5
    memory_weight: float = 0.5
    min_significance: float = 3.0

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value}")
        for name in ("min_overlap", "min_agreement", "memory_weight"):
            if getattr(self, name) > 1:
                raise ValueError(f"{name} is a share, at most 1, got {getattr(self, name)}")
