"""Clouds read back from PLY files."""

from pathlib import Path

import numpy as np
import pytest

from clouds import random_elements
from vmem_ros.reporting.ply import write_ply


def read(path: Path) -> np.ndarray:
    """Return the vertices of a binary PLY file as its own header describes them."""
    header, _, body = path.read_bytes().partition(b"end_header\n")
    lines = header.decode().splitlines()
    kinds = {"float": "<f4", "uchar": "u1"}
    fields = [(line.split()[2], kinds[line.split()[1]]) for line in lines if line.startswith("property")]
    vertices = np.frombuffer(body, fields)
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert f"element vertex {len(vertices)}" in lines
    return vertices


def test_the_cloud_comes_back(tmp_path):
    elements = random_elements(50)
    write_ply(tmp_path / "cloud.ply", elements)
    vertices = read(tmp_path / "cloud.ply")
    assert vertices.dtype.names == ("x", "y", "z", "nx", "ny", "nz", "radius", "red", "green", "blue")
    assert np.array_equal(vertices["z"], elements.position[:, 2].numpy())
    assert np.array_equal(vertices["ny"], elements.normal[:, 1].numpy())
    assert np.array_equal(vertices["radius"], elements.radius.numpy())
    assert np.array_equal(vertices["blue"], elements.color[:, 2].numpy())


@pytest.mark.parametrize("count", [0, 5])
def test_fields_that_elements_lack_are_left_out(tmp_path, count):
    elements = random_elements(count, normal=False, radius=False)
    write_ply(tmp_path / "cloud.ply", elements)
    vertices = read(tmp_path / "cloud.ply")
    assert vertices.dtype.names == ("x", "y", "z", "red", "green", "blue")
    assert np.array_equal(vertices["red"], elements.color[:, 0].numpy())
