"""Does a world agree with itself? Views that it answered at one pose, at different times, beside one another."""

from __future__ import annotations

from collections.abc import Sequence

from vmem_ros.evaluation.metric_values import MetricValues
from vmem_ros.evaluation.view_pair import ViewPair
from vmem_ros.types import View


class Consistency(MetricValues):
    """How alike two views are that were answered at one pose. A world that draws nothing but grey is perfect here."""

    parts = frozenset({"twin", "depth"})


def consistency(view: View, twin: View) -> Consistency:
    """Compare a view with its twin, what was answered at the same pose before."""
    return Consistency.of(ViewPair(view, twin, against="twin"))


def closed_loop(views: Sequence[View]) -> Consistency:
    """Compare the last view of a loop with the first, whose pose it returned to (PSNR_C and SSIM_C of Spatia).

    :raises ValueError: fewer than two views.
    """
    if len(views) < 2:
        raise ValueError(f"a closed loop needs at least 2 views, got {len(views)}")
    return consistency(views[-1], views[0])


def back_and_forth(views: Sequence[View]) -> Consistency:
    """Compare every view of the way back with its twin of the way out, and return the mean.

    :param views: along a path out and back: pose i equals pose n - 1 - i. The turning point of an odd path has no twin.
    :raises ValueError: fewer than two views.
    """
    return Consistency.mean(along_the_way_back(views))


def along_the_way_back(views: Sequence[View]) -> list[Consistency]:
    """Return the comparisons of :func:`back_and_forth` in the order of the way back, from the turning point on.

    :raises ValueError: fewer than two views.
    """
    n = len(views)
    if n < 2:
        raise ValueError(f"a path out and back needs at least 2 views, got {n}")
    return [consistency(views[i], views[n - 1 - i]) for i in range(n - n // 2, n)]
