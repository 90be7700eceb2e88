"""The command-line options of measured depth."""

import argparse

import pytest

from vmem_ros.errors import ModelError
from vmem_ros.pointmaps import SensorDepthOptions
from vmem_ros.showcase.engine_options import add_sensor_options, sensor_from_options


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_sensor_options(parser)
    return parser.parse_args(words)


def test_nothing_said_is_the_default() -> None:
    assert sensor_from_options(parsed()) == SensorDepthOptions()


def test_all_said() -> None:
    options = sensor_from_options(parsed("--sensor", "tof", "--close-gaps-px", "0", "--keep-flying"))
    assert options == SensorDepthOptions(sensor="tof", close_gaps_px=0, remove_flying=False)


def test_what_is_out_of_range_is_named() -> None:
    with pytest.raises(ModelError, match="close_gaps_px must be 0 to 16 pixels, got 99"):
        sensor_from_options(parsed("--close-gaps-px", "99"))
