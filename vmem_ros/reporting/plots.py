"""Plots of means with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmem_ros.reporting.intervals import Interval
from vmem_ros.reporting.plot_style import INK_HEX, SERIES_HEX, new_figure, save_figure, style_axis

# More lines than colours are told apart by their dashes.
_DASHES = ("-", "--")


@dataclass(frozen=True)
class Panel:
    """Lines over a common axis.

    :param lines: y by name, NaN where unknown.
    :param marks: x of vertical rules, with a word each.
    """

    title: str
    x_label: str
    x: Sequence[float]
    lines: Mapping[str, Sequence[float]]
    marks: Mapping[str, float]


def draw_intervals(path: Path, intervals: Mapping[str, Interval], *, title: str, x_label: str) -> None:
    """Draw a dot with its interval for each name, the first on top, and save the picture."""
    figure = new_figure(7.6, 1.2 + 0.36 * len(intervals))
    axis = figure.subplots()
    for row, interval in enumerate(intervals.values()):
        axis.errorbar(
            interval.mean, row, xerr=interval.half_width, color=SERIES_HEX[0] if row == 0 else INK_HEX,
            marker="o", markersize=6, capsize=3, linewidth=1.6,
        )  # fmt: skip
    axis.set_yticks(range(len(intervals)), list(intervals))
    axis.invert_yaxis()
    style_axis(axis, title=title, x_label=x_label)
    save_figure(figure, path)


def draw_lines(path: Path, panels: Sequence[Panel], *, y_label: str) -> None:
    """Draw panels side by side with one legend, and save the picture."""
    figure = new_figure(4.6 * len(panels) + 2.4, 4.2)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        for i, (name, y) in enumerate(panel.lines.items()):
            axis.plot(
                panel.x, y, label=name, color=SERIES_HEX[i % len(SERIES_HEX)],
                linestyle=_DASHES[i // len(SERIES_HEX)], linewidth=2.4 if i == 0 else 1.4,
            )  # fmt: skip
        for word, x in panel.marks.items():
            axis.axvline(x, color=INK_HEX, linewidth=0.8, linestyle=":")
            axis.annotate(
                word, (x, 1), xycoords=("data", "axes fraction"), xytext=(4, -4), textcoords="offset points",
                va="top", fontsize=8, color=INK_HEX,
            )  # fmt: skip
        style_axis(axis, title=panel.title, x_label=panel.x_label, y_label=y_label if axis is axes[0] else "")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)
    save_figure(figure, path)
