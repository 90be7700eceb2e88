"""What a pipeline may be made of and called with; every mistake is found before any work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vmem_ros.errors import InvalidCameraError, InvalidImageError, ModelError
from vmem_ros.generation.vmem.autoencoding import downsampling
from vmem_ros.generation.vmem.prediction import Prediction
from vmem_ros.geometry import Camera
from vmem_ros.types import Projection, as_image

OutputType = Literal["pt", "np", "pil", "latent"]

_MASK_AND_RAYS = 1 + 6


def check_parts(unet: Any, vae: Any, image_encoder: Any | None, scheduler: Any) -> None:
    """Raise :class:`ModelError` unless the parts of a pipeline fit together."""
    config, latent_channels = unet.config, vae.config.latent_channels
    channels = (latent_channels + _MASK_AND_RAYS, latent_channels)
    if (config.in_channels, config.out_channels) != channels:
        raise ModelError(
            f"a vae with {latent_channels} latent channels needs a unet with {channels[0]} channels in and "
            f"{channels[1]} out, this one has {config.in_channels} and {config.out_channels}"
        )
    if config.projection_channels not in (0, latent_channels + 1):
        raise ModelError(
            f"projection_channels of the unet must be 0 or {latent_channels + 1} (latents and seen-mask), got "
            f"{config.projection_channels}"
        )
    if image_encoder is not None and image_encoder.config.projection_dim != config.context_dim:
        raise ModelError(
            f"the image encoder gives embeddings of {image_encoder.config.projection_dim}, the unet takes "
            f"{config.context_dim}: use the encoder that it was trained with, or None"
        )
    predictions = get_args(Prediction)
    if scheduler.config.get("prediction_type") not in predictions or not hasattr(scheduler, "alphas_cumprod"):
        raise ModelError(
            f"the scheduler must hold betas and predict {' or '.join(predictions)}, got {type(scheduler).__name__} "
            f"with prediction_type={scheduler.config.get('prediction_type')}: use one of "
            "vmem_ros.generation.vmem.schedules"
        )


def check_frames(
    references: tuple[Sequence[Tensor], Sequence[Camera], Tensor],
    targets: tuple[Sequence[Camera], Tensor],
) -> None:
    """Raise unless images, cameras and poses of references, and cameras and poses of targets, belong together."""
    images, cameras, poses = references
    if not len(images):
        raise ModelError("no reference images: at least one is needed, the nearest first")
    if not len(targets[0]):
        raise ModelError("no targets: at least one camera and pose is needed")
    if not len(images) == len(cameras) == len(poses):
        raise ModelError(
            f"references must have one image, camera and pose each, got {len(images)} images, {len(cameras)} cameras "
            f"and {len(poses)} poses"
        )
    if len(targets[0]) != len(targets[1]):
        raise ModelError(
            f"targets must have one camera and pose each, got {len(targets[0])} cameras and {len(targets[1])} poses"
        )
    for index, (image, camera) in enumerate(zip(images, cameras, strict=True)):
        size = tuple(as_image(image, f"reference_images[{index}]").shape[:2])
        if size != camera.size:
            raise InvalidCameraError(
                f"reference_images[{index}] is {size[1]} x {size[0]} but its intrinsics are for {camera.width} x "
                f"{camera.height}: resize one of them (Camera.resized)"
            )


def check_equal_frames(frames: Sequence[int]) -> int:
    """Return of how many frames every chunk of a batch is, or raise :class:`ModelError`."""
    if len(set(frames)) != 1:
        raise ModelError(f"chunks that are drawn together must have as many frames each, got {list(frames)}")
    return frames[0]


def check_size(unet: Any, vae: Any, height: int, width: int) -> tuple[int, int]:
    """Return the size of the latents, or raise :class:`InvalidImageError` where an image size does not divide."""
    factor = downsampling(vae)
    multiple = factor * unet.divisor
    if height < 1 or width < 1 or height % multiple or width % multiple:
        raise InvalidImageError(
            f"height and width must be multiples of {multiple} for this model, got {height} x {width}: round them, and "
            "resize the images that come out"
        )
    return height // factor, width // factor


def check_cached(name: str, cached: Sequence[Tensor | None] | None, count: int, shape: tuple[int, ...]) -> None:
    """Raise :class:`ModelError` unless encodings that are passed back, where there are any, have number and shape."""
    if cached is None:
        return
    if len(cached) != count:
        raise ModelError(f"{name} must have {count} entries, one per reference image or None, got {len(cached)}")
    for index, entry in enumerate(cached):
        if entry is not None and (tuple(entry.shape) != shape or not entry.is_floating_point()):
            raise ModelError(
                f"{name}[{index}] must be floating point {list(shape)}, got {entry.dtype} {list(entry.shape)}: pass "
                "None to have it computed"
            )


def check_depths(depths: Sequence[Tensor | None] | None, images: Sequence[Tensor]) -> None:
    """Raise :class:`ModelError` unless depth of references, where there is any, has their number and sizes."""
    if depths is None:
        return
    if len(depths) != len(images):
        raise ModelError(
            f"reference_depths must have {len(images)} entries, one per reference image or None, got {len(depths)}"
        )
    for index, (depth, image) in enumerate(zip(depths, images, strict=True)):
        if depth is not None and tuple(depth.shape) != tuple(image.shape[:2]):
            raise ModelError(
                f"reference_depths[{index}] must have the size of its image, {list(image.shape[:2])}, got "
                f"{list(depth.shape)}"
            )


def check_projections(unet: Any, projections: Sequence[Projection] | None, targets: int) -> None:
    """Raise :class:`ModelError` unless there is a projection for each target of a network that takes them."""
    wanted = targets if unet.config.projection_channels else 0
    given = 0 if projections is None else len(projections)
    if given != wanted:
        needs = "takes no projections" if not wanted else f"needs {wanted} projections, one per target"
        raise ModelError(f"this network {needs}, got {given}")


def check_numbers(*, guidance_scale: float, guidance_min: float, camera_scale: float) -> None:
    """Raise :class:`ModelError` for numbers that mean nothing."""
    for name, value in (("guidance_scale", guidance_scale), ("guidance_min", guidance_min)):
        if not (math.isfinite(value) and value >= 0):
            raise ModelError(f"{name} must be a finite number of at least 0 (1 is no guidance), got {value}")
    if not (math.isfinite(camera_scale) and camera_scale > 0):
        raise ModelError(f"camera_scale must be a finite number above 0, got {camera_scale}")


def check_noise(latents: Tensor | None, shape: tuple[int, ...]) -> None:
    """Raise :class:`ModelError` unless initial noise, where it is given, has a shape and is finite."""
    if latents is not None and not (tuple(latents.shape) == shape and bool(torch.isfinite(latents).all())):
        raise ModelError(
            f"latents must be finite noise of unit variance {list(shape)}, one for each reference and target, got "
            f"{list(latents.shape)}"
        )


def check_output(output_type: str, tensor_inputs: Sequence[str], allowed: Sequence[str]) -> None:
    """Raise :class:`ModelError` for an unknown type of output or tensor of callbacks."""
    if output_type not in get_args(OutputType):
        raise ModelError(f"output_type must be one of {', '.join(get_args(OutputType))}, got {output_type!r}")
    unknown = [name for name in tensor_inputs if name not in allowed]
    if unknown:
        raise ModelError(
            f"callback_on_step_end_tensor_inputs may contain {', '.join(allowed)}, got {', '.join(unknown)}"
        )
