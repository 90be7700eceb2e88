"""The metrics, each in one place: what it is called, how it is written, which way is better, how it is computed.

Protocols, tables, plots and JSON files ask here: a new metric is one more :class:`Metric` that is registered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from vmem_ros.errors import ModelError
from vmem_ros.evaluation.matching import match_accuracy
from vmem_ros.evaluation.metrics import exposure_corrected, median_relative_depth_error, psnr, ssim
from vmem_ros.evaluation.view_pair import Part, ViewPair
from vmem_ros.pretrained.factories import import_factory
from vmem_ros.reporting.intervals import number_text
from vmem_ros.reporting.tables import Better

# Fewer pixels than this share of a picture say little.
_FEW = 0.02


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of one pair of views; that of many is the mean.

    :param name: in JSON files.
    :param title: in tables and text.
    :param unit: of the value; empty for a share or a ratio.
    :param better: which way is better.
    :param digits: decimals that it is worth.
    :param compute: its value; NaN where it cannot be told, ``inf`` where two pictures are identical.
    :param needs: what a pair must have; the metric is not asked about others.
    :param masked: it compares the pixels of the pair's ``mask`` alone; others are for whole pictures.
    """

    name: str
    title: str
    unit: str = ""
    better: Better
    digits: int
    compute: Callable[[ViewPair], float]
    needs: frozenset[Part] = frozenset()
    masked: bool = False

    def of(self, pair: ViewPair) -> float:
        """Return the value; NaN for a pair that lacks what the metric needs."""
        return self.compute(pair) if self.needs <= pair.parts else math.nan

    @property
    def heading(self) -> str:
        """Title and unit, the head of a column."""
        return f"{self.title} {self.unit}".rstrip()

    def text(self, value: float) -> str:
        """Return a value with its unit."""
        text = number_text(value, self.digits)
        return f"{text} {self.unit}".rstrip() if math.isfinite(value) else text


def _psnr_remembered(pair: ViewPair) -> float:
    assert pair.confidence is not None, "Metric.needs asks for it"
    return psnr(pair.view.image, pair.reference.image, mask=pair.confidence >= 0.5)


def _psnr_unseen(pair: ViewPair) -> float:
    assert pair.unseen is not None, "Metric.needs asks for it"
    if float(pair.unseen.float().mean()) < _FEW:
        return math.nan
    return psnr(pair.view.image, pair.reference.image, mask=pair.unseen)


def _psnr_corrected(pair: ViewPair) -> float:
    corrected = exposure_corrected(pair.view.image, pair.reference.image, mask=pair.mask)
    return psnr(corrected, pair.reference.image, mask=pair.mask)


def _depth_median_rel(pair: ViewPair) -> float:
    assert pair.view.depth is not None, "Metric.needs asks for it"
    assert pair.reference.depth is not None, "Metric.needs asks for it"
    return median_relative_depth_error(pair.view.depth, pair.reference.depth, mask=pair.mask)


def _rotation(pair: ViewPair) -> float:
    return math.nan if pair.pose_error is None else pair.pose_error.rotation_deg


def _translation(pair: ViewPair) -> float:
    return math.nan if pair.pose_error is None else pair.pose_error.translation_m


#: The metric of plots, captions and summaries, where there is room for one.
PSNR = Metric(
    name="psnr_db", title="PSNR", unit="dB", better="higher", digits=1, masked=True,
    compute=lambda pair: psnr(pair.view.image, pair.reference.image, mask=pair.mask),
)  # fmt: skip
#: All metrics by name, in the order of the columns of tables.
METRICS: dict[str, Metric] = {PSNR.name: PSNR}


def register(*metrics: Metric) -> None:
    """Add metrics to :data:`METRICS`.

    :raises ValueError: a name or a heading is taken.
    """
    for metric in metrics:
        if metric.name in METRICS or metric.heading in {known.heading for known in METRICS.values()}:
            taken = ", ".join(f"{known.name} ({known.heading})" for known in METRICS.values())
            raise ValueError(
                f"metric {metric.name} ({metric.heading}) needs a name and a title of its own; taken: {taken}"
            )
        METRICS[metric.name] = metric


def load_metric(name: str) -> None:
    """Register a metric of your own.

    :param name: ``module:metric``.
    :raises ModelError: it cannot be imported, or is no :class:`Metric`.
    :raises ValueError: see :func:`register`.
    """
    metric = import_factory(name, what="metric")
    if not isinstance(metric, Metric):
        raise ModelError(f"metric = {name!r} is a {type(metric).__name__}, not a vmem_ros.evaluation.registry.Metric")
    register(metric)


register(
    Metric(
        name="psnr_corrected_db", title="corrected PSNR", unit="dB", better="higher", digits=1, masked=True,
        compute=_psnr_corrected, needs=frozenset({"recorded"}),
    ),
    Metric(
        name="psnr_remembered_db", title="remembered PSNR", unit="dB", better="higher", digits=1,
        compute=_psnr_remembered, needs=frozenset({"truth", "confidence"}),
    ),
    Metric(
        name="psnr_unseen_db", title="unseen PSNR", unit="dB", better="higher", digits=1,
        compute=_psnr_unseen, needs=frozenset({"truth", "unseen"}),
    ),
    Metric(
        name="ssim", title="SSIM", better="higher", digits=3, masked=True,
        compute=lambda pair: ssim(pair.view.image, pair.reference.image, mask=pair.mask),
    ),
    Metric(name="match", title="match", better="higher", digits=2, compute=lambda pair: match_accuracy(*pair.features)),
    Metric(
        name="depth_abs_rel", title="depth AbsRel", better="lower", digits=3,
        compute=lambda pair: pair.depth_errors.abs_rel, needs=frozenset({"truth", "depth"}),
    ),
    Metric(
        name="depth_median_m", title="depth median", unit="m", better="lower", digits=3,
        compute=lambda pair: pair.depth_errors.median_m, needs=frozenset({"truth", "depth"}),
    ),
    Metric(
        name="depth_median_rel", title="depth error", better="lower", digits=4, masked=True,
        compute=_depth_median_rel, needs=frozenset({"recorded", "depth"}),
    ),
    Metric(
        name="rotation_deg", title="rotation", unit="deg", better="lower", digits=2,
        compute=_rotation, needs=frozenset({"truth", "depth"}),
    ),
    Metric(
        name="translation_m", title="translation", unit="m", better="lower", digits=3,
        compute=_translation, needs=frozenset({"truth", "depth"}),
    ),
)  # fmt: skip
