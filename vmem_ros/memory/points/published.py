"""Where points fall in pictures of Spatia's published code: in single precision, rounded where it rounds.

The radius of a disk is a hundredth of half a picture by default: what single precision rounds off coordinates of the
whole picture moves opacities by up to 7e-5. Poses, points and centres of pixels therefore take the same steps here as
there; distances and opacities need not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.geometry import Camera


def published_places(points: Tensor, camera: Camera, T_world_camera: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return columns, rows and depths [N] float64 of points [N, 3]; centres of pixels: :func:`published_centres`."""
    rotation, translation = _published_pose(T_world_camera)
    shorter = min(camera.size)
    # One operation after the other: a product of matrices may round elsewhere.
    x, y, z = points.float().unbind(1)
    x, y, z = (
        x * row[0] + y * row[1] + z * row[2] + shift
        for row, shift in zip(rotation.tolist(), translation.tolist(), strict=True)
    )
    places = []
    for across, focal, middle, side in (
        (x, camera.fx, camera.cx, camera.width),
        (y, camera.fy, camera.cy, camera.height),
    ):
        offset = 2 * (middle - (side - 1) / 2) / (shorter - 1)
        place = (across * (2 * focal / (shorter - 1)) - z * offset) / z
        places.append(_in_pixels(place, side, shorter))
    return places[0], places[1], z.double()


def published_centres(camera: Camera) -> tuple[Tensor, Tensor]:
    """Return the columns [W] and rows [H] float64 of pixels' centres: whole numbers, but for rounding."""
    centres = []
    shorter = min(camera.size)
    for side in (camera.width, camera.height):
        width = torch.tensor(2 * side / shorter, dtype=torch.float32)
        # They are numbered from the right and from the bottom.
        from_last = (width * torch.arange(side, dtype=torch.float32) + width / 2) / side - width / 2
        centres.append(_in_pixels(-from_last.flip(0), side, shorter))
    return centres[0], centres[1]


def _published_pose(T_world_camera: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rotation [3, 3] and translation [3] float32 from the world to the camera.

    The published code inverts the pose twice in single precision, and takes the rotation of the first inverse with the
    translation of the second.
    """
    T_camera_world = torch.linalg.inv(T_world_camera.cpu().double()).float()
    there = torch.linalg.inv(T_camera_world)
    return there[:3, :3].mT, torch.linalg.inv(there)[:3, 3]


def _in_pixels(place: Tensor, side: int, shorter: int) -> Tensor:
    """Return places from the middle, in halves of the shorter side, as columns or rows."""
    return (side - 1) / 2 + place.double() * (shorter / 2)
