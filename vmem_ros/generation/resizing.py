"""The size a network works at, and pictures on the way there and back."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.types import Projection

# A resized pixel counts as seen when at least half of its footprint is.
_LEAST_SEEN = 0.5


def working_size(
    camera: Camera, *, multiple: int, max_side: int | None = None, min_side: int | None = None
) -> tuple[int, int]:
    """Return (height, width) near a camera's size, both multiples of ``multiple``.

    :param max_side: bound on both, at least ``multiple``; a larger camera is scaled down at about its own aspect ratio.
    :param min_side: a camera whose larger side is less is scaled up, at about its own aspect ratio.
    """
    scale = 1.0 if min_side is None else max(1.0, min_side / max(camera.size))
    if max_side is not None:
        scale = min(scale, max_side / max(camera.size))
    most = None if max_side is None else max_side // multiple * multiple

    def nearest(side: int) -> int:
        rounded = max(multiple, round(side * scale / multiple) * multiple)
        return rounded if most is None else min(rounded, most)

    height, width = camera.size
    return nearest(height), nearest(width)


def drawn_smaller(camera: Camera, size: tuple[int, int], *, multiple: int, max_side: int | None) -> tuple[str, ...]:
    """Return in words that a (height, width) at which views are drawn is below what is asked for, if so."""
    whole = working_size(camera, multiple=multiple)
    if size[0] >= whole[0] and size[1] >= whole[1]:
        return ()
    return (
        f"views of {camera.width} x {camera.height} are drawn at {size[1]} x {size[0]} and enlarged (max_side "
        f"is {max_side})",
    )


def resize_image(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Return an image [H, W, 3] uint8 in another (height, width); same field of view, no aliasing."""
    if tuple(image.shape[:2]) == size:
        return image
    channels_first = image.permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(channels_first, size, mode="bicubic", antialias=True)
    return resized[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)


def resize_depth(depth: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a depth map [H, W] in another (height, width): that of the nearest pixel, for surfaces must not mix."""
    return torch.nn.functional.interpolate(depth[None, None], size, mode="nearest-exact")[0, 0]


def resize_projection(projection: Projection, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
    """Return image [h, w, 3] uint8, seen mask [h, w] bool and depth [h, w] of a projection in another (height, width).

    Only seen pixels are averaged, so that the black of holes does not bleed into their borders; depth is that of the
    nearest pixel.
    """
    if tuple(projection.seen.shape) == size:
        return projection.image, projection.seen, projection.depth
    seen = projection.seen.float()[None, None]
    share = torch.nn.functional.interpolate(seen, size, mode="bilinear", antialias=True)
    color = projection.image.permute(2, 0, 1)[None].float() * seen
    mean = torch.nn.functional.interpolate(color, size, mode="bilinear", antialias=True) / share.clamp(min=1e-6)
    kept = share[0, 0] >= _LEAST_SEEN
    image = (mean[0].permute(1, 2, 0).round().clamp(0, 255) * kept[..., None]).to(torch.uint8)
    return image, kept, resize_depth(projection.depth, size)
