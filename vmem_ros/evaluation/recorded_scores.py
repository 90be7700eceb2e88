"""The figures of what methods answer at frames of a recording that they were not shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.evaluation.metric_values import MetricValues
from vmem_ros.evaluation.view_pair import ViewPair
from vmem_ros.reporting.intervals import mean_interval
from vmem_ros.types import Projection, View

# Where methods have less than this share of a picture in common, it says little of any of them.
_FEW = 0.05


@dataclass(frozen=True, eq=False)
class RecordedAnswer:
    """What a method answers at a pose.

    :param shown: what it knows, with holes. ``None``: it knows nothing of geometry, its picture counts as all shown.
    :param whole: [H, W, 3] uint8, its picture without holes.
    """

    shown: Projection | None
    whole: Tensor


class Shown(MetricValues):
    """How close to a frame is what is shown, where all methods that know of holes show something."""

    parts = frozenset({"recorded", "depth"})
    masked = True


class Whole(MetricValues):
    """How close to a frame the whole picture is."""

    parts = frozenset({"recorded"})


@dataclass(frozen=True)
class RecordedScores:
    """Figures of one method at one frame, or their means over frames.

    :param share: of the picture that it shows; NaN if it knows of no holes.
    """

    share: float
    shown: Shown
    whole: Whole

    @classmethod
    def mean(cls, scores: Sequence[RecordedScores]) -> RecordedScores:
        """Return the means over the frames where each figure is known."""
        return cls(
            mean_interval([each.share for each in scores]).mean,
            Shown.mean([each.shown for each in scores]),
            Whole.mean([each.whole for each in scores]),
        )

    def record(self) -> dict[str, float]:
        """Return the figures by name, for JSON and CSV."""
        of_shown = {f"shown_{name}": value for name, value in self.shown.items()}
        return {"share": self.share} | of_shown | {f"whole_{name}": value for name, value in self.whole.items()}


def score_frame(
    answers: Mapping[str, RecordedAnswer], truth: View, *, unseen: Tensor | None = None
) -> dict[str, RecordedScores]:
    """Return the figures of each method at one frame.

    :param truth: the frame as the camera took it.
    :param unseen: [H, W] bool: pixels that it did not see, for its lens was rectified. ``None``: it saw all.
    """
    taken = torch.ones(truth.camera.size, dtype=torch.bool) if unseen is None else ~unseen.cpu()
    seen = [answer.shown.seen.cpu() for answer in answers.values() if answer.shown is not None]
    common = torch.stack([taken, *seen]).all(dim=0)
    if float(common.float().mean()) < _FEW:
        common = torch.zeros_like(common)
    return {name: _score(answer, truth, common, taken) for name, answer in answers.items()}


def _score(answer: RecordedAnswer, truth: View, common: Tensor, taken: Tensor) -> RecordedScores:
    whole = View(answer.whole.cpu(), truth.camera, truth.T_world_camera)
    if answer.shown is None:
        share, shown = float("nan"), whole
    else:
        p = answer.shown
        share = float(p.seen.cpu()[taken].float().mean())
        shown = View(p.image.cpu(), truth.camera, truth.T_world_camera, p.depth.cpu())
    return RecordedScores(
        share,
        Shown.of(ViewPair(shown, truth, against="recorded", mask=common)),
        Whole.of(ViewPair(whole, truth, against="recorded", mask=taken)),
    )
