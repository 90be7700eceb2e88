"""How all plots look: one typeface (DejaVu Sans), thin rules, no frame."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vmem_ros.files import atomic_file
from vmem_ros.reporting.palette import INK, RULE, SERIES, hex_colour

INK_HEX, RULE_HEX = hex_colour(INK), hex_colour(RULE)
SERIES_HEX = tuple(hex_colour(colour) for colour in SERIES)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def style_axis(axis: Axes, *, title: str = "", x_label: str = "", y_label: str = "") -> None:
    """Name an axis, and draw it like all others; after its scales are set."""
    axis.set_title(title, color=INK_HEX, fontsize=10)
    axis.set_xlabel(x_label, color=INK_HEX)
    axis.set_ylabel(y_label, color=INK_HEX)
    axis.grid(visible=True, which="major", color=RULE_HEX, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.tick_params(which="both", color=RULE_HEX, labelcolor=INK_HEX, labelsize=9)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axis.spines[side].set_color(RULE_HEX)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as what the ending of ``path`` says."""
    with atomic_file(path) as new:
        figure.savefig(new)
