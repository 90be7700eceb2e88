"""Clouds as PLY files, which MeshLab, CloudCompare, Blender and Open3D read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from vmem_ros.files import atomic_file
from vmem_ros.types import Elements


def write_ply(path: Path, elements: Elements) -> None:
    """Write the elements of a memory as binary little-endian PLY.

    Fields are x y z (float32), nx ny nz and radius (float32) where the elements have them, red green blue (uint8).
    """
    columns = _columns(elements.position, "x", "y", "z")
    columns |= {} if elements.normal is None else _columns(elements.normal, "nx", "ny", "nz")
    columns |= {} if elements.radius is None else _columns(elements.radius[:, None], "radius")
    columns |= _columns(elements.color, "red", "green", "blue")
    vertices = np.empty(len(elements), [(n, "u1" if c.dtype == np.uint8 else "<f4") for n, c in columns.items()])
    for name, column in columns.items():
        vertices[name] = column
    header = ["ply", "format binary_little_endian 1.0", "comment metres, z up", f"element vertex {len(vertices)}"]
    header += [f"property {'uchar' if c.dtype == np.uint8 else 'float'} {n}" for n, c in columns.items()]
    with atomic_file(path) as new, new.open("wb") as file:
        file.write(("\n".join([*header, "end_header"]) + "\n").encode("ascii"))
        file.write(vertices.tobytes())


def _columns(values: Tensor, *names: str) -> dict[str, np.ndarray]:
    return dict(zip(names, values.cpu().numpy().T, strict=True))
