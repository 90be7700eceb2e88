"""The log of a training as a picture: losses, and figures of sample sheets, by step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from vmem_ros.reporting.plot_style import SERIES_HEX, new_figure, save_figure, style_axis


def draw_log(entries: Sequence[dict[str, float]], path: Path) -> None:
    """Draw all losses, and all figures of sample sheets in dB; where there are none, no picture is written."""
    names = list(dict.fromkeys(name for entry in entries for name in entry))
    losses = [name for name in names if name.startswith("loss")]
    samples = [name for name in names if name.startswith("sample_") and name.endswith("_dB")]
    panels = [panel for panel in (("loss", losses), ("samples, dB", samples)) if panel[1]]
    if not panels:
        return
    figure = new_figure(5.2 * len(panels), 3.8)
    for axis, (title, chosen) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for colour, name in zip(SERIES_HEX, chosen, strict=False):
            points = np.array([(entry["step"], entry[name]) for entry in entries if name in entry], np.float64)
            _draw_curve(axis, points[:, 0], points[:, 1], colour, name)
        if title == "loss":
            axis.set_yscale("log")
        axis.legend(frameon=False, fontsize=8)
        style_axis(axis, title=title, x_label="step")
    save_figure(figure, path)


def _draw_curve(axis: Axes, steps: NDArray, values: NDArray, colour: str, name: str) -> None:
    smooth = max(1, len(values) // 50)
    if smooth > 1:
        axis.plot(steps, values, color=colour, alpha=0.2, linewidth=0.6)
        kernel = np.ones(smooth) / smooth
        steps, values = steps[smooth - 1 :], np.convolve(values, kernel, mode="valid")
    axis.plot(steps, values, color=colour, linewidth=1.5, label=name, marker="o" if len(values) < 3 else None)
