"""What a real camera saw: an image, its intrinsics and perhaps depth as one view of a pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.images import depth_from_message, image_from_message
from vmem_ros.messages.rectification import rectifier_for
from vmem_ros.types import View


@dataclass(frozen=True, eq=False)
class ObservedView:
    """A view, and what :meth:`~vmem_ros.world.World.observe` has to know besides.

    :param mask: [H, W] bool, pixels that no camera saw: the corners that rectification leaves. ``None``: it saw all.
    """

    view: View
    mask: Tensor | None = None


def observed_view_from_messages(
    image: Any, info: Any, T_world_camera: Tensor, *, depth: Any = None, rectified: bool = False, stamp_ns: int = 0
) -> ObservedView:
    """Return an observed view of a ``sensor_msgs/msg/Image`` and the ``sensor_msgs/msg/CameraInfo`` of its size.

    Where the intrinsics list distortion, image and depth are rectified.

    :param depth: a registered ``sensor_msgs/msg/Image``; ``None`` if there is none.
    :param rectified: they are rectified already, although the intrinsics list distortion.
    :raises InvalidImageError: an encoding that is not read, truncated data, or sizes that differ.
    :raises InvalidCameraError: intrinsics that do not describe a pinhole camera or a lens that is known.
    """
    rectifier = None if rectified else rectifier_for(info)
    camera = camera_from_message(info, rectified=rectified or rectifier is not None)
    pixels = image_from_message(image)
    depth_m = None if depth is None else depth_from_message(depth)
    mask = None
    if rectifier is not None:
        pixels, mask = rectifier.image(pixels), torch.from_numpy(rectifier.outside)
        depth_m = None if depth_m is None else rectifier.depth(depth_m)
    view = View(
        image=torch.from_numpy(pixels),
        camera=camera,
        T_world_camera=T_world_camera,
        depth=None if depth_m is None else torch.from_numpy(depth_m),
        stamp_ns=stamp_ns,
    )
    return ObservedView(view, mask)
