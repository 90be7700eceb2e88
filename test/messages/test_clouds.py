"""Clouds: the layout of their records, what elements have and have not, and malformed ones."""

from typing import Any

import numpy as np
import pytest
import torch

from clouds import random_elements
from vmem_ros.errors import InvalidImageError
from vmem_ros.messages.clouds import (
    cloud_from_message,
    elements_from_message,
    elements_to_message,
    points_to_message,
)


@pytest.mark.parametrize(
    ("has", "names"),
    [
        ({}, "x y z rgb normal_x normal_y normal_z radius"),
        ({"radius": False}, "x y z rgb normal_x normal_y normal_z"),
        ({"normal": False}, "x y z rgb radius"),
        ({"normal": False, "radius": False}, "x y z rgb"),
    ],
)
def test_records_hold_what_elements_have(types, head, has: dict, names: str) -> None:
    given = random_elements(10, **has)
    message = elements_to_message(types, given, head)
    size = 4 * len(names.split())
    assert (message.point_step, message.row_step, message.width, message.height) == (size, 10 * size, 10, 1)
    assert [f.name for f in message.fields] == names.split()
    assert [f.offset for f in message.fields] == list(range(0, size, 4))
    assert message.header == head
    back = elements_from_message(message)
    for name in ("position", "color", "normal", "radius"):
        expected, found = getattr(given, name), getattr(back, name)
        assert (found is None) == (expected is None)
        if expected is not None:
            assert torch.equal(found, expected)


def test_a_surfel_takes_32_bytes(types, head) -> None:
    assert elements_to_message(types, random_elements(3), head).point_step == 32


def test_color_bytes_are_little_endian_0x00rrggbb(types, head) -> None:
    message = points_to_message(types, torch.zeros(1, 3), torch.tensor([[1, 2, 3]]).byte(), torch.ones(1), head)
    assert bytes(message.data[12:16]) == bytes([3, 2, 1, 0])


def test_points_carry_confidence_as_intensity(types, head) -> None:
    confidence = torch.tensor([0.25, 1.0])
    message = points_to_message(types, torch.ones(2, 3), torch.zeros(2, 3).byte(), confidence, head)
    assert message.point_step == 20
    np.testing.assert_array_equal(cloud_from_message(message)["intensity"], confidence)


def test_empty(types, head) -> None:
    message = elements_to_message(types, random_elements(0), head)
    assert message.width == 0
    assert len(elements_from_message(message)) == 0


def test_truncated(types, head) -> None:
    message = elements_to_message(types, random_elements(3), head)
    message.data = message.data[:-4]
    with pytest.raises(InvalidImageError, match="92 bytes, 3 points need 96"):
        cloud_from_message(message)


@pytest.mark.parametrize("field", [{"datatype": 8}, {"count": 2}])
def test_other_fields(types, head, field: dict[str, Any]) -> None:
    message = elements_to_message(types, random_elements(3), head)
    for name, value in field.items():
        setattr(message.fields[0], name, value)
    with pytest.raises(InvalidImageError, match="FLOAT32"):
        cloud_from_message(message)


def test_a_cloud_without_colours_is_no_memory(types, head) -> None:
    message = elements_to_message(types, random_elements(3), head)
    message.fields[3].name = "intensity"
    with pytest.raises(InvalidImageError, match="no rgb, only x, y, z, intensity"):
        elements_from_message(message)
