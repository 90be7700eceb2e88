"""Curves of a benchmark as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

# Distinct in hue and in lightness, so that they can be told apart without colour vision too (Okabe and Ito).
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_INK, _RULE = "#26292E", "#DEDCD6"


@dataclass(frozen=True)
class Curve:
    """One line: medians ``y`` at ``x``, and the 90th percentiles ``high`` as a shade above."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    high: Sequence[float]


def draw_curves(panels: Mapping[str, Sequence[Curve]], path: Path, *, title: str, x_label: str, y_label: str) -> None:
    """Draw panels side by side, both axes logarithmic, with common axes, and save them."""
    figure = Figure(figsize=(4.6 * len(panels), 4.2), dpi=150, layout="constrained")
    figure.suptitle(title, color=_INK, fontsize=12)
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, name, curves)
        axis.set_xlabel(x_label, color=_INK)
    axes[0].set_ylabel(y_label, color=_INK)
    figure.savefig(path)


def _draw_panel(axis: Axes, name: str, curves: Sequence[Curve]) -> None:
    for colour, curve in zip(_COLOURS, curves, strict=False):
        axis.fill_between(curve.x, curve.y, curve.high, color=colour, alpha=0.15, linewidth=0)
        axis.plot(curve.x, curve.y, color=colour, marker="o", markersize=4, linewidth=1.8)
        # Labels at the ends of the lines need no legend to look up.
        axis.annotate(
            curve.label, (curve.x[-1], curve.y[-1]), xytext=(7, 0), textcoords="offset points", va="center",
            color=colour, fontsize=9, annotation_clip=False,
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("log")
    for one, steps in ((axis.xaxis, (1.0,)), (axis.yaxis, (1.0, 2.0, 5.0))):
        one.set_major_locator(LogLocator(subs=steps))
        one.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        one.set_minor_formatter(NullFormatter())
    axis.set_title(name, color=_INK, fontsize=10)
    axis.margins(x=0.16, y=0.08)
    axis.grid(visible=True, which="major", color=_RULE, linewidth=0.8)
    axis.tick_params(which="both", color=_RULE, labelcolor=_INK, labelsize=8)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(_RULE)
