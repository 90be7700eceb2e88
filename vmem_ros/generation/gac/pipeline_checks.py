"""What a pipeline may be made of and called with; every mistake is found before any work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vmem_ros.errors import InvalidImageError, ModelError
from vmem_ros.generation.vmem.autoencoding import downsampling


def check_parts(transformer: Any, vae: Any) -> None:
    """Raise :class:`ModelError` unless a network draws the latents of an autoencoder."""
    wanted = (vae.config.latent_channels, downsampling(vae))
    told = (transformer.config.latent_channels, transformer.config.downsampling)
    if told != wanted:
        raise ModelError(
            f"the transformer draws {told[0]} latent channels at 1/{told[1]} of the size, the vae has {wanted[0]} at "
            f"1/{wanted[1]}: use the vae that it was trained with"
        )


def check_numbers(*, unit_m: float, frames: int, context: int) -> None:
    """Raise :class:`ModelError` for numbers that mean nothing."""
    if not 0 < unit_m < float("inf") or min(frames, context) < 1:
        raise ModelError(f"unit_m must be positive, frames and context 1 or more, got {unit_m}, {frames} and {context}")


def check_lists(
    images: Sequence[Any],
    cameras: Sequence[Any],
    poses: Sequence[Any],
    depths: Sequence[Any],
    target_cameras: Sequence[Any],
    target_poses: Sequence[Any],
) -> None:
    """Raise :class:`ModelError` unless there is a context and something to draw, and each has all that it needs."""
    counts = [len(each) for each in (images, cameras, poses, depths)]
    if not images or not target_cameras or len(set(counts)) > 1:
        raise ModelError(
            "a context of 1 view or more needs one image, camera, pose and depth (or None) each, and 1 target or more, "
            f"got {', '.join(map(str, counts))} and {len(target_cameras)} targets"
        )
    if len(target_cameras) != len(target_poses):
        raise ModelError(
            f"targets must have one camera and pose each, got {len(target_cameras)} and {len(target_poses)}"
        )


def check_size(transformer: Any, height: int, width: int) -> tuple[int, int]:
    """Return (height, width), or raise :class:`InvalidImageError` where they do not divide into tokens."""
    multiple = transformer.multiple
    if min(height, width) < 1 or height % multiple or width % multiple:
        raise InvalidImageError(
            f"height and width must be multiples of {multiple} for this model, got {height} x {width}: round them, and "
            "resize the images that come out"
        )
    return height, width
