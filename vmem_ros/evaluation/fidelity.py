"""Does a world agree with the truth? Views beside what a camera would have seen."""

from __future__ import annotations

from torch import Tensor

from vmem_ros.evaluation.metric_values import MetricValues
from vmem_ros.evaluation.view_pair import ViewPair
from vmem_ros.types import View


class Fidelity(MetricValues):
    """How close a view is to what a camera at its pose would have seen."""

    parts = frozenset({"truth", "depth", "confidence", "unseen"})


def against_truth(
    view: View, truth: View, *, confidence: Tensor | None = None, unseen: Tensor | None = None
) -> Fidelity:
    """Compare a view with the truth.

    :param truth: with exact depth; without it, errors of depth and pose are not known.
    :param confidence: [H, W] float32 of the view: 0 invented ... 1 remembered. ``None``: not told.
    :param unseen: [H, W] bool: pixels that no given view sees. ``None``: not known.
    """
    return Fidelity.of(ViewPair(view, truth, against="truth", confidence=confidence, unseen=unseen))
