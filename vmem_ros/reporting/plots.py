"""Plots of means with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vmem_ros.reporting.drawing import INK, RULE, Colour
from vmem_ros.reporting.intervals import Interval

# Distinct in hue and in lightness (Okabe and Ito); more lines than colours are told apart by their dashes.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
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
    figure = Figure(figsize=(7.6, 1.2 + 0.36 * len(intervals)), dpi=150, layout="constrained")
    axis = figure.subplots()
    for row, interval in enumerate(intervals.values()):
        axis.errorbar(
            interval.mean, row, xerr=interval.half_width, color=_COLOURS[0] if row == 0 else _hex(INK),
            marker="o", markersize=6, capsize=3, linewidth=1.6,
        )  # fmt: skip
    axis.set_yticks(range(len(intervals)), list(intervals))
    axis.invert_yaxis()
    axis.set_xlabel(x_label, color=_hex(INK))
    axis.set_title(title, color=_hex(INK), fontsize=11)
    _plain(axis)
    figure.savefig(path)


def draw_lines(path: Path, panels: Sequence[Panel], *, y_label: str) -> None:
    """Draw panels side by side with one legend, and save the picture."""
    figure = Figure(figsize=(4.6 * len(panels) + 2.4, 4.2), dpi=150, layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, panel in zip(axes, panels, strict=True):
        for i, (name, y) in enumerate(panel.lines.items()):
            axis.plot(
                panel.x, y, label=name, color=_COLOURS[i % len(_COLOURS)], linestyle=_DASHES[i // len(_COLOURS)],
                linewidth=2.4 if i == 0 else 1.4,
            )  # fmt: skip
        for word, x in panel.marks.items():
            axis.axvline(x, color=_hex(INK), linewidth=0.8, linestyle=":")
            axis.annotate(
                word, (x, 1), xycoords=("data", "axes fraction"), xytext=(4, -4), textcoords="offset points",
                va="top", fontsize=8, color=_hex(INK),
            )  # fmt: skip
        axis.set_title(panel.title, color=_hex(INK), fontsize=10)
        axis.set_xlabel(panel.x_label, color=_hex(INK))
        _plain(axis)
    axes[0].set_ylabel(y_label, color=_hex(INK))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)
    figure.savefig(path)


def _plain(axis: Axes) -> None:
    axis.grid(visible=True, color=_hex(RULE), linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(color=_hex(RULE), labelcolor=_hex(INK), labelsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(_hex(RULE))


def _hex(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
