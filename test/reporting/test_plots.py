"""Plots, in the colours of the palette."""

import numpy as np
from PIL import Image

from vmem_ros.reporting.intervals import mean_interval
from vmem_ros.reporting.palette import SERIES
from vmem_ros.reporting.plots import Panel, draw_intervals, draw_lines


def colours_of(path) -> set[tuple[int, int, int]]:
    with Image.open(path) as picture:
        return {tuple(colour) for colour in np.asarray(picture.convert("RGB")).reshape(-1, 3).tolist()}


def test_every_line_has_a_colour_of_its_own_and_more_are_dashed(tmp_path):
    lines = {f"method {i}": [float(i), i + 1.0] for i in range(len(SERIES) + 1)}
    draw_lines(tmp_path / "lines.png", [Panel("a", "m", [0.0, 1.0], lines, {"back": 0.5})], y_label="dB")
    assert set(SERIES) <= colours_of(tmp_path / "lines.png")


def test_the_first_interval_stands_out(tmp_path):
    intervals = {name: mean_interval([1.0, 2.0, 3.0]) for name in ("ours", "theirs")}
    draw_intervals(tmp_path / "intervals.png", intervals, title="a", x_label="dB")
    found = colours_of(tmp_path / "intervals.png")
    assert SERIES[0] in found
    assert SERIES[1] not in found
