"""Values of all metrics that apply to a kind of comparison, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeVar

from vmem_ros.evaluation.registry import METRICS, Metric
from vmem_ros.evaluation.view_pair import Part, ViewPair
from vmem_ros.reporting.intervals import mean_interval
from vmem_ros.reporting.tables import Column, Value

Values = TypeVar("Values", bound="MetricValues")


class MetricValues(dict[str, float]):
    """Values by the name of the metric; NaN where one cannot be told."""

    #: What the pairs of this kind may have; metrics that need anything else do not apply.
    parts: ClassVar[frozenset[Part]]
    #: Whether only some pixels are compared: metrics of whole pictures do not apply then.
    masked: ClassVar[bool] = False

    @classmethod
    def metrics(cls) -> tuple[Metric, ...]:
        """Return the metrics that apply."""
        known = (metric for metric in METRICS.values() if metric.needs <= cls.parts)
        return tuple(metric for metric in known if metric.masked or not cls.masked)

    @classmethod
    def of(cls: type[Values], pair: ViewPair) -> Values:
        """Return the values of one pair."""
        return cls({metric.name: metric.of(pair) for metric in cls.metrics()})

    @classmethod
    def mean(cls: type[Values], values: Sequence[Values]) -> Values:
        """Return the mean of each metric over the pairs where it is known; NaN where it is known for none.

        One pair of identical pictures makes the mean PSNR infinite, so identical pairs count only where all are.
        """
        return cls({m.name: mean_interval([each[m.name] for each in values]).mean for m in cls.metrics()})

    def cells(self, title: str = "") -> dict[str, Value]:
        """Return the values by the heading of their column.

        :param title: what stands before the name of the metric.
        """
        return {_heading(title, metric): self[metric.name] for metric in self.metrics()}

    @classmethod
    def columns(cls, title: str = "") -> dict[str, Column]:
        """Return how the columns of :meth:`cells` are written."""
        return {_heading(title, metric): Column(metric.digits, metric.better) for metric in cls.metrics()}


def _heading(title: str, metric: Metric) -> str:
    return f"{title} {metric.heading}".lstrip()
