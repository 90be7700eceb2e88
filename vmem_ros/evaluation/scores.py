"""The figures of one method in one house."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from torch import Tensor

from vmem_ros.evaluation.benchmark_paths import EvaluationPath, PathName
from vmem_ros.evaluation.consistency import Consistency, consistency, mean
from vmem_ros.evaluation.metrics import psnr
from vmem_ros.reporting.intervals import mean_interval

#: A view is largely unseen if a memory of the given view alone shows less of it.
LARGELY_UNSEEN = 0.5
# Fewer pixels than this share of a picture say little.
_FEW = 0.02


@dataclass(frozen=True)
class Scores:
    """What one method answered in one house, in figures; means over views, NaN where there are none.

    :param loop: last picture of the loop against the given view, at whose pose it was drawn.
    :param back: every picture of the way back against its twin of the way out.
    :param truth: every picture of both courses against the truth.
    :param unseen: the same, of the views that are largely unseen (:data:`LARGELY_UNSEEN`).
    :param invented_db: PSNR against the truth where the given view shows nothing.
    :param seconds_per_view: reading, drawing, finding geometry and writing.
    :param truth_db: PSNR against the truth along the way out and back, one per pose.
    :param back_db: PSNR against the twin along the way back, one per pose; its first pose is the last of the way out.
    """

    loop: Consistency
    back: Consistency
    truth: Consistency
    unseen: Consistency
    invented_db: float
    seconds_per_view: float
    truth_db: tuple[float, ...]
    back_db: tuple[float, ...]

    def record(self) -> dict[str, object]:
        """Return the figures by name, for JSON."""
        return asdict(self)


def score(
    courses: Sequence[EvaluationPath], answers: Mapping[PathName, Sequence[Tensor]], *, seconds_per_view: float
) -> Scores:
    """Return the figures of what was answered.

    :param answers: per course, pictures [H, W, 3] uint8 in the order of its poses.
    """
    against_truth: dict[PathName, list[Consistency]] = {}
    unseen: list[Consistency] = []
    invented_db: list[float] = []
    for course in courses:
        found = against_truth[course.name] = []
        for image, truth, shown in zip(answers[course.name], course.truths, course.shown, strict=True):
            found.append(consistency(image, truth.image))
            hidden = 1 - float(shown.float().mean())
            if hidden > 1 - LARGELY_UNSEEN:
                unseen.append(found[-1])
            if hidden > _FEW:
                invented_db.append(psnr(image, truth.image, mask=~shown))
    [loop] = [course for course in courses if course.name == "loop"]
    walk = answers["out and back"]
    twins = [consistency(walk[len(walk) - 1 - i], walk[i]) for i in reversed(range(len(walk) // 2))]
    everything = [found for per_course in against_truth.values() for found in per_course]
    return Scores(
        loop=consistency(answers["loop"][-1], loop.start.image),
        back=mean(twins),
        truth=mean(everything),
        unseen=mean(unseen) if unseen else Consistency(math.nan, math.nan, math.nan),
        invented_db=mean_interval(invented_db).mean,
        seconds_per_view=seconds_per_view,
        truth_db=tuple(found.psnr_db for found in against_truth["out and back"]),
        back_db=tuple(twin.psnr_db for twin in twins),
    )
