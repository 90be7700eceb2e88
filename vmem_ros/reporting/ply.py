"""Surfel clouds as PLY files, which MeshLab, CloudCompare, Blender and Open3D read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vmem_ros.memory.surfel.surfels import SurfelCloud

_FIELDS = ("x", "y", "z", "nx", "ny", "nz", "radius")
_VERTEX = np.dtype([(name, "<f4") for name in _FIELDS] + [(name, "u1") for name in ("red", "green", "blue")])


def write_ply(path: Path, surfels: SurfelCloud) -> None:
    """Write surfels as binary little-endian PLY: x y z nx ny nz radius (float32), red green blue (uint8)."""
    vertices = np.empty(len(surfels.position), _VERTEX)
    columns = np.concatenate(
        [surfels.position.cpu().numpy(), surfels.normal.cpu().numpy(), surfels.radius.cpu().numpy()[:, None]], axis=1
    )
    for i, name in enumerate(_FIELDS):
        vertices[name] = columns[:, i]
    for i, name in enumerate(("red", "green", "blue")):
        vertices[name] = surfels.color[:, i].cpu().numpy()
    header = ["ply", "format binary_little_endian 1.0", "comment metres, z up", f"element vertex {len(vertices)}"]
    header += [f"property {'uchar' if _VERTEX[n] == np.uint8 else 'float'} {n}" for n in _VERTEX.names or ()]
    with path.open("wb") as file:
        file.write(("\n".join([*header, "end_header"]) + "\n").encode("ascii"))
        file.write(vertices.tobytes())
