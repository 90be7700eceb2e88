"""What a real camera saw: an image, its intrinsics and perhaps depth as one view of a pinhole camera."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_images import color_of, depth_of, size_of
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.masks import mask_from_message
from vmem_ros.messages.rectification import rectifier_for
from vmem_ros.types import View


@dataclass(frozen=True, eq=False)
class ObservedView:
    """A view, and what :meth:`~vmem_ros.world.World.observe` has to know besides.

    :param mask: [H, W] bool, pixels that are not to be remembered: what moves, and the corners that rectification
        leaves. ``None``: all are.
    :param absurd_depth: how many pixels had a depth that no camera measures; see :class:`~.camera_images.DepthImage`.
    """

    view: View
    mask: Tensor | None = None
    absurd_depth: int = 0


def observed_view_from_messages(
    image: Any,
    info: Any,
    T_world_camera: Tensor,
    *,
    depth: Any = None,
    mask: Any = None,
    rectified: bool = False,
    stamp_ns: int = 0,
    max_pixels: int | None = None,
) -> ObservedView:
    """Return an observed view of an image and the ``sensor_msgs/msg/CameraInfo`` of its size.

    Where the intrinsics list distortion, image, depth and mask are rectified. Sizes and intrinsics are checked from the
    heads of the messages, before anything is decoded.

    :param image: a ``sensor_msgs/msg/Image`` or ``CompressedImage``.
    :param depth: registered to it, either type; ``None`` if there is none.
    :param mask: an ``Image`` of its size, not 0 over what moves and is not to be remembered; ``None``: nothing moves.
    :param rectified: they are rectified already, although the intrinsics list distortion.
    :param max_pixels: most pixels that an image may have; ``None``: no more than a camera's sides allow.
    :raises InvalidImageError: an encoding that is not read, damaged data, or sizes that differ.
    :raises InvalidCameraError: intrinsics that do not describe a pinhole camera or a lens that is known, or of too many
        pixels.
    """
    has_lens = not rectified and any(info.d)
    camera = camera_from_message(info, rectified=rectified or has_lens, max_pixels=max_pixels)
    _check_sizes(size_of(image), camera, None if depth is None else size_of(depth))
    moving = None if mask is None else _moving(mask, size_of(image))
    pixels = color_of(image)
    measured = None if depth is None else depth_of(depth)
    depth_m = None if measured is None else measured.depth
    unseen = None if moving is None else torch.from_numpy(moving)
    rectifier = rectifier_for(info) if has_lens else None
    if rectifier is not None:
        pixels, unseen = rectifier.image(pixels), torch.from_numpy(rectifier.outside)
        if moving is not None:
            unseen |= torch.from_numpy(rectifier.mask(moving))
        depth_m = None if depth_m is None else rectifier.depth(depth_m)
    view = View(
        image=torch.from_numpy(pixels),
        camera=camera,
        T_world_camera=T_world_camera,
        depth=None if depth_m is None else torch.from_numpy(depth_m),
        stamp_ns=stamp_ns,
    )
    return ObservedView(view, unseen, 0 if measured is None else measured.absurd)


def mask_of_camera(mask: Any, info: Any, *, max_pixels: int | None = None) -> tuple[Camera, NDArray[np.bool_]]:
    """Return a camera and a mask of its pixels [H, W] bool; of a lens, both after rectification.

    :param mask: a ``sensor_msgs/msg/Image``, see :mod:`.masks`.
    :param info: ``sensor_msgs/msg/CameraInfo`` of the picture that it is of.
    :raises InvalidImageError: no mask, or of another size than the camera.
    :raises InvalidCameraError: see :func:`observed_view_from_messages`.
    """
    has_lens = any(info.d)
    camera = camera_from_message(info, rectified=has_lens, max_pixels=max_pixels)
    pixels = _moving(mask, (camera.width, camera.height))
    rectifier = rectifier_for(info) if has_lens else None
    return camera, pixels if rectifier is None else rectifier.mask(pixels)


def _moving(mask: Any, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the mask of an image of this width and height."""
    if size_of(mask) != size:
        width, height = size_of(mask)
        raise InvalidImageError(
            f"the mask is {width} x {height} but the image is {size[0]} x {size[1]}: send one of the same size, for "
            "the pixels of that image"
        )
    return mask_from_message(mask)


def _check_sizes(image: tuple[int, int], camera: Camera, depth: tuple[int, int] | None) -> None:
    """Check widths and heights that must be equal."""
    if image != (camera.width, camera.height):
        raise InvalidImageError(
            f"image is {image[0]} x {image[1]} but its intrinsics are for {camera.width} x {camera.height}: send the "
            "CameraInfo of that size, from the same driver and mode"
        )
    if depth is not None and depth != image:
        raise InvalidImageError(
            f"depth is {depth[0]} x {depth[1]} but the image is {image[0]} x {image[1]}: register depth to colour "
            "(RealSense: align_depth.enable:=true and aligned_depth_to_color/image_raw; OpenNI and Orbbec: "
            "depth_registration:=true; otherwise depth_image_proc's register node)"
        )
