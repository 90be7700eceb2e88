"""Depth and confidence as colours."""

import math

import numpy as np
import torch

from vmem_ros.reporting.colormaps import confidence_overlay, depth_colors
from vmem_ros.reporting.palette import CONFIDENCE_RAMP, SERIES, gradient, hex_colour


def test_near_is_red_far_is_blue_unknown_is_black():
    near, far, unknown, infinite = depth_colors(
        torch.tensor([[0.5, 10.0, math.nan, math.inf]]), near_m=0.5, far_m=10.0
    )[0].int()
    assert near[0] > near[2] + 50
    assert far[2] > far[0]
    assert unknown.tolist() == infinite.tolist() == [0, 0, 0]


def test_confidence_tints_a_white_picture_along_the_ramp():
    white = torch.full((1, 3, 3), 255, dtype=torch.uint8)
    overlay = confidence_overlay(white, torch.tensor([[0.0, 0.5, 1.0]]), opacity=1.0)
    assert overlay[0].tolist() == [list(colour) for colour in CONFIDENCE_RAMP]
    assert torch.equal(confidence_overlay(white, torch.zeros(1, 3), opacity=0.0), white)


def test_a_gradient_passes_through_its_stops():
    stops = ((0, 0, 0), (100, 50, 0), (200, 50, 50))
    levels = np.array([[0.0, 0.25, 0.5], [0.75, 1.0, 2.0]])
    expected = [[[0, 0, 0], [50, 25, 0], [100, 50, 0]], [[150, 50, 25], [200, 50, 50], [200, 50, 50]]]
    assert gradient(stops, levels).tolist() == expected


def test_colours_of_plots():
    assert hex_colour(SERIES[0]) == "#0072b2"
    assert len(set(SERIES)) == len(SERIES)
