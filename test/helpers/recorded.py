"""A short walk of an RGB-D camera before two walls, and writers of the layouts that the package only reads."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vmem_ros.geometry import Camera, invert, look_at, quaternion_xyzw
from vmem_ros.types import View
from walls import two_walls

CAMERA = Camera.from_fov(96, 64, 70)
#: Nanoseconds of the first frame, with digits that a float64 of seconds does not have, and between frames.
START_NS, PERIOD_NS = 1_700_000_000_123_456_789, 100_000_000


@functools.cache
def walk(n: int = 5, *, camera: Camera = CAMERA) -> tuple[View, ...]:
    """Return views of a camera that walks along the walls and turns, in a world with z up."""
    poses = [look_at((0.1 * i, 0.15 * i - 0.3, 1.0 + 0.02 * i), (3.0, 0.3 * i - 0.5, 0.9)) for i in range(n)]
    seen = [two_walls(pose, camera=camera) for pose in poses]
    return tuple(
        View(view.image, camera, view.T_world_camera, view.depth, stamp_ns=START_NS + i * PERIOD_NS)
        for i, view in enumerate(seen)
    )


def turned(view: View, T: torch.Tensor) -> torch.Tensor:
    """Return the pose of a view in a world that ``T`` [4, 4] takes to that of the views."""
    return invert(T) @ view.T_world_camera


def write_tum(folder: Path, views: Sequence[View], *, skew_ns: int = 0) -> Path:
    """Write views in the layout of TUM.

    :param skew_ns: by which the clock of depth is late.
    """
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    rows: dict[str, list[str]] = {"rgb.txt": ["# timestamp filename"], "depth.txt": [], "groundtruth.txt": ["# t x q"]}
    for i, view in enumerate(views):
        Image.fromarray(view.image.numpy()).save(folder / "rgb" / f"{i}.png")
        Image.fromarray((view.depth.numpy() * 5000).round().astype(np.uint16)).save(folder / "depth" / f"{i}.png")
        rows["rgb.txt"].append(f"{_seconds(view.stamp_ns)} rgb/{i}.png")
        rows["depth.txt"].append(f"{_seconds(view.stamp_ns + skew_ns)} depth/{i}.png")
        numbers = [*view.T_world_camera[:3, 3].tolist(), *quaternion_xyzw(view.T_world_camera)]
        rows["groundtruth.txt"].append(f"{_seconds(view.stamp_ns)} {' '.join(f'{x:.9f}' for x in numbers)}")
    for name, lines in rows.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    c = views[0].camera
    (folder / "intrinsics.txt").write_text(f"{c.fx} {c.fy} {c.cx - 0.5} {c.cy - 0.5}\n", encoding="utf-8")
    return folder


def write_seven_scenes(folder: Path, views: Sequence[View]) -> Path:
    """Write views with the names of 7-Scenes."""
    folder.mkdir()
    for i, view in enumerate(views):
        units = (view.depth.numpy() * 1000).round().astype(np.uint16)
        units[:2] = 65535
        Image.fromarray(view.image.numpy()).save(folder / f"frame-{i:06d}.color.png")
        Image.fromarray(units).save(folder / f"frame-{i:06d}.depth.png")
        np.savetxt(folder / f"frame-{i:06d}.pose.txt", view.T_world_camera.numpy(), fmt="%.7e")
    return folder


def intrinsics_of(camera: Camera) -> list[float]:
    """Return fx fy cx cy with pixel centres at integers."""
    return [camera.fx, camera.fy, camera.cx - 0.5, camera.cy - 0.5]


def truncate(path: Path, share: float = 0.5) -> None:
    """Cut a file off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns // 1_000_000_000}.{stamp_ns % 1_000_000_000:09d}"
