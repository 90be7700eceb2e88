"""What a pipeline of the video network may be made of and called with; every mistake is found before any work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError, ModelError
from vmem_ros.generation.wan.autoencoding import latent_channels, spatial_stride, temporal_stride
from vmem_ros.generation.wan.rounds import latent_frames, whole_clip
from vmem_ros.generation.wan.schedules import check_scheduler
from vmem_ros.generation.wan.text import MAX_CHARACTERS
from vmem_ros.types import as_image

OutputType = Literal["pt", "np", "pil", "latent"]


def check_parts(transformer: Any, vae: Any, text_encoder: Any | None, tokenizer: Any | None, scheduler: Any) -> None:
    """Raise :class:`ModelError` unless the parts of a pipeline fit together."""
    config, channels = transformer.config, latent_channels(vae)
    if (config.in_channels, config.out_channels, config.vace_in_channels) != (channels, channels, 2 * channels):
        raise ModelError(
            f"a vae with {channels} latent channels needs a transformer with in_channels and out_channels {channels} "
            f"and vace_in_channels {2 * channels} (scene and score), this one has {config.in_channels}, "
            f"{config.out_channels} and {config.vace_in_channels}"
        )
    if (text_encoder is None) != (tokenizer is None):
        raise ModelError("text_encoder and tokenizer belong together: give both, or None for both")
    if text_encoder is not None and text_encoder.config.d_model != config.text_dim:
        raise ModelError(
            f"the text encoder gives embeddings of {text_encoder.config.d_model}, the transformer takes "
            f"{config.text_dim}: use the encoder that it was trained with, or None"
        )
    check_scheduler(scheduler)


def check_size(transformer: Any, vae: Any, height: int, width: int) -> tuple[int, int]:
    """Return the size of the latents, or raise :class:`InvalidImageError` where a picture's size does not divide."""
    factor = spatial_stride(vae)
    rows, columns = (factor * side for side in transformer.divisor)
    if height < 1 or width < 1 or height % rows or width % columns:
        raise InvalidImageError(
            f"height and width must be multiples of {rows} and {columns} for this model, got {height} x {width}: round "
            "them, and resize the pictures that come out"
        )
    return height // factor, width // factor


def check_clip(vae: Any, name: str, frames: int) -> int:
    """Return how many latent frames a clip has, or raise :class:`ModelError` for a length that is none."""
    stride = temporal_stride(vae)
    if frames < 1 or whole_clip(frames, stride) != frames:
        raise ModelError(f"{name} must be {stride} k + 1 frames for this model, got {frames}")
    return latent_frames(frames, stride)


def check_scene(
    scene: Sequence[Tensor] | None, coverage: Sequence[Tensor] | None, frames: int, size: tuple[int, int]
) -> None:
    """Raise unless scene and coverage, where there are any, have one entry of ``size`` for each frame."""
    if scene is None:
        if coverage is not None:
            raise ModelError("coverage says how much of a scene there is: give the scene, too")
        return
    if len(scene) != frames or (coverage is not None and len(coverage) != frames):
        given = "none" if coverage is None else len(coverage)
        raise ModelError(f"scene and coverage must have {frames} entries, one per frame, got {len(scene)} and {given}")
    for index, picture in enumerate(scene):
        if tuple(as_image(picture, f"scene[{index}]").shape[:2]) != size:
            raise InvalidImageError(f"scene[{index}] must be {list(size)}, got {list(picture.shape[:2])}")
    for index, share in enumerate(coverage or ()):
        if tuple(share.shape) != size:
            raise InvalidImageError(f"coverage[{index}] must be {list(size)}, got {list(share.shape)}")


def check_pictures(name: str, pictures: Sequence[Tensor] | None) -> None:
    """Raise :class:`InvalidImageError` for a picture that is not uint8 RGB."""
    for index, picture in enumerate(pictures or ()):
        as_image(picture, f"{name}[{index}]")


def check_history(known: int, frames: int) -> None:
    """Raise :class:`ModelError` where a clip of latent frames is known to its end."""
    if known >= frames:
        raise ModelError(f"{known} of {frames} latent frames are given as history: nothing is left to draw")


def check_one_of(pictures: object, latents: object, name: str) -> None:
    """Raise :class:`ModelError` where something is given twice."""
    if pictures is not None and latents is not None:
        raise ModelError(f"{name} are given as pictures and as latents: leave one of them out")


def check_latents(name: str, latents: Tensor | None, shape: tuple[int, ...], frames: int | None = None) -> None:
    """Raise :class:`ModelError` unless latents are finite [1, C, frames, h, w].

    :param shape: (C, h, w).
    :param frames: ``None``: any number from 1.
    """
    if latents is None:
        return
    found = list(latents.shape)
    wanted = [1, shape[0], "frames" if frames is None else frames, *shape[1:]]
    fits = len(found) == 5 and [found[0], found[1], *found[3:]] == [1, *shape]
    if not fits or found[2] < 1 or (frames is not None and found[2] != frames):
        raise ModelError(f"{name} must be {wanted}, got {found}")
    if not (latents.is_floating_point() and bool(torch.isfinite(latents).all())):
        raise ModelError(f"{name} must be finite floating point, got {latents.dtype}")


def check_text(transformer: Any, text_encoder: Any | None, prompt: str | None, embeds: Tensor | None) -> None:
    """Raise :class:`ModelError` for a text that cannot be read, or that is given twice."""
    if prompt and embeds is not None:
        raise ModelError("the prompt is given as text and as prompt_embeds: leave one of them out")
    if prompt and text_encoder is None:
        raise ModelError("this model has no text encoder: leave the prompt out, or pass prompt_embeds")
    if prompt and len(prompt) > MAX_CHARACTERS:
        raise ModelError(f"the prompt has {len(prompt)} characters, at most {MAX_CHARACTERS} are read: shorten it")
    width = transformer.config.text_dim
    if embeds is not None and (embeds.ndim != 3 or embeds.shape[0] != 1 or embeds.shape[2] != width):
        raise ModelError(f"prompt_embeds must be [1, tokens, {width}], got {list(embeds.shape)}")


def check_output(output_type: str, tensor_inputs: Sequence[str], allowed: Sequence[str]) -> None:
    """Raise :class:`ModelError` for an unknown type of output or tensor of callbacks."""
    if output_type not in get_args(OutputType):
        raise ModelError(f"output_type must be one of {', '.join(get_args(OutputType))}, got {output_type!r}")
    if unknown := [name for name in tensor_inputs if name not in allowed]:
        raise ModelError(
            f"callback_on_step_end_tensor_inputs may contain {', '.join(allowed)}, got {', '.join(unknown)}"
        )
