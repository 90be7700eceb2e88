"""Curves of a benchmark as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from vmem_ros.reporting.plot_style import INK_HEX, SERIES_HEX, new_figure, save_figure, style_axis


@dataclass(frozen=True)
class Curve:
    """One line: medians ``y`` at ``x``, and the 90th percentiles ``high`` as a shade above."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    high: Sequence[float]


def draw_curves(panels: Mapping[str, Sequence[Curve]], path: Path, *, title: str, x_label: str, y_label: str) -> None:
    """Draw panels side by side, both axes logarithmic, with common axes, and save them."""
    figure = new_figure(4.6 * len(panels), 4.2)
    figure.suptitle(title, color=INK_HEX, fontsize=12)
    axes = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    for axis, (name, curves) in zip(axes, panels.items(), strict=True):
        _draw_panel(axis, curves)
        style_axis(axis, title=name, x_label=x_label, y_label=y_label if axis is axes[0] else "")
    save_figure(figure, path)


def _draw_panel(axis: Axes, curves: Sequence[Curve]) -> None:
    for colour, curve in zip(SERIES_HEX, curves, strict=False):
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
    axis.margins(x=0.16, y=0.08)
