"""Means with confidence intervals over houses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

#: Probability that an interval covers the true mean.
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and how uncertain it is.

    :param mean: NaN if nothing is known; ``inf`` if all pictures were identical.
    :param half_width: the interval is ``mean - half_width`` to ``mean + half_width``; NaN with fewer than two values.
    :param count: values that it is the mean of.
    """

    mean: float
    half_width: float
    count: int

    def text(self, digits: int, *, signed: bool = False) -> str:
        """Return it as ``21.3 ± 0.8``."""
        mean = number_text(self.mean, digits, signed=signed)
        return mean if math.isnan(self.half_width) else f"{mean} ± {self.half_width:.{digits}f}"


def number_text(value: float, digits: int, *, signed: bool = False) -> str:
    """Return a figure with its decimals; ``-`` if it is not known, ``identical`` if pictures were."""
    if not math.isfinite(value):
        return "-" if math.isnan(value) else "identical"
    return f"{value:{'+' if signed else ''}.{digits}f}"


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the mean of one value per house with its interval from Student's t distribution.

    NaN values do not count; infinite ones only where all are.
    """
    known = [value for value in values if not math.isnan(value)]
    finite = np.array([value for value in known if math.isfinite(value)])
    if len(finite) == 0:
        return Interval(known[0] if known else math.nan, math.nan, len(known))
    n = len(finite)
    half_width = math.nan
    if n > 1:
        half_width = float(stdtrit(n - 1, (1 + LEVEL) / 2) * finite.std(ddof=1) / math.sqrt(n))
    return Interval(float(finite.mean()), half_width, n)


def paired_difference(values: Sequence[float], others: Sequence[float]) -> Interval:
    """Return the mean of ``values[i] - others[i]``, house by house, with its interval; see :func:`mean_interval`.

    Houses differ more than methods do: differences within a house say more than two separate intervals. A house where
    either value is not finite does not count.
    """
    pairs = [(a, b) for a, b in zip(values, others, strict=True) if math.isfinite(a) and math.isfinite(b)]
    return mean_interval([a - b for a, b in pairs])
