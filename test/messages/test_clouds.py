"""Clouds: the layout of their records, what elements have and have not, and malformed ones."""

from importlib import import_module
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
    unpacked_rgb,
)
from vmem_ros.messages.stamps import header


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


class TestBesideSensorMsgsPy:
    """What other nodes read of our clouds, and we of theirs, where ``sensor_msgs_py`` is installed."""

    @pytest.fixture
    def point_cloud2(self) -> Any:
        return pytest.importorskip(
            "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py is not installed: a ROS installation has it"
        )

    @pytest.fixture
    def head(self, rclpy_types) -> Any:
        return header(rclpy_types, "map", 1_500_000_002)

    def test_it_reads_ours(self, point_cloud2, rclpy_types, head) -> None:
        given = random_elements(100)
        message = elements_to_message(rclpy_types, given, head)
        found = point_cloud2.read_points_numpy(message, ["x", "y", "z", "normal_x", "normal_y", "normal_z", "radius"])
        expected = torch.cat([given.position, given.normal, given.radius[:, None]], dim=1)
        np.testing.assert_array_equal(found, expected)
        packed = point_cloud2.read_points(message)["rgb"]
        np.testing.assert_array_equal(unpacked_rgb(packed), given.color)
        ours = cloud_from_message(message)
        for name in point_cloud2.read_points(message).dtype.names:
            if name != "rgb":
                np.testing.assert_array_equal(ours[name], point_cloud2.read_points(message)[name])

    def test_we_read_its(self, point_cloud2, rclpy_types, head) -> None:
        points = np.arange(12, dtype=np.float32).reshape(4, 3)
        read = cloud_from_message(point_cloud2.create_cloud_xyz32(head, points))
        np.testing.assert_array_equal(np.stack([read[name] for name in "xyz"], axis=1), points)

    def test_both_readers_of_the_client_agree(self, point_cloud2, rclpy_types, head, monkeypatch) -> None:
        cloud_reading = import_module("vmem_ros.nodes.client.cloud_reading")
        message = elements_to_message(rclpy_types, random_elements(50), head)
        theirs = cloud_reading.read_cloud(message)
        monkeypatch.setattr(cloud_reading, "point_cloud2", None)
        ours = cloud_reading.read_cloud(message)
        np.testing.assert_array_equal(ours.position, theirs.position)
        np.testing.assert_array_equal(ours.color, theirs.color)
        assert ours.fields.keys() == theirs.fields.keys()
        for name, values in ours.fields.items():
            np.testing.assert_array_equal(values, theirs.fields[name])
        message.data = message.data[:-4]
        with pytest.raises(InvalidImageError, match="1596 bytes, 50 points need 1600"):
            cloud_reading.read_cloud(message)
        monkeypatch.undo()
        with pytest.raises(InvalidImageError, match="sensor_msgs_py cannot read the cloud"):
            cloud_reading.read_cloud(message)
