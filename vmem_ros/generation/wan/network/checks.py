"""What the network may be built and called with; every mistake is found before any work."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from vmem_ros.errors import ModelError


def check_config(
    *,
    patch_size: Sequence[int],
    attention_head_dim: int,
    freq_dim: int,
    num_layers: int,
    vace_layers: Sequence[int],
    image_dim: int | None,
    added_kv_proj_dim: int | None,
) -> None:
    """Raise :class:`ModelError` for a configuration that cannot be built."""
    if len(patch_size) != 3 or patch_size[0] != 1 or min(patch_size) < 1:
        raise ModelError(f"patch_size must be (1, height, width): frames have times of their own, got {patch_size}")
    if attention_head_dim < 6 or attention_head_dim % 2:
        raise ModelError(f"attention_head_dim must be even and at least 6, got {attention_head_dim}")
    if freq_dim < 2 or freq_dim % 2:
        raise ModelError(f"freq_dim must be even and at least 2, got {freq_dim}")
    layers = list(vace_layers)
    if not layers or layers[0] != 0 or sorted(set(layers)) != layers or layers[-1] >= num_layers:
        raise ModelError(
            f"vace_layers must ascend from 0 and be less than num_layers = {num_layers}, got {layers}: they name the "
            "blocks after which the scene is added"
        )
    if image_dim is not None or added_kv_proj_dim is not None:
        raise ModelError(
            "image_dim and added_kv_proj_dim must be None: this network sees pictures as frames at time 0, got "
            f"{image_dim} and {added_kv_proj_dim}"
        )


def check_latents(config: Any, latents: Tensor, timestep: Tensor, num_references: int) -> None:
    """Raise :class:`ModelError` unless latents and their times fit the network and each other."""
    channels = config.in_channels
    if latents.ndim != 5 or latents.shape[1] != channels or 0 in latents.shape:
        raise ModelError(f"hidden_states must be [batch, {channels} channels, frames, h, w], got {list(latents.shape)}")
    batch, _, frames, height, width = latents.shape
    _, rows, columns = config.patch_size
    if height % rows or width % columns:
        raise ModelError(
            f"hidden_states are {height} x {width} (height x width), but must be multiples of {rows} x {columns}: crop "
            "or pad"
        )
    if tuple(timestep.shape) != (batch, frames):
        raise ModelError(
            f"timestep must be [{batch}, {frames}], one entry for each frame of each sample (0: the frame is given), "
            f"got {list(timestep.shape)}"
        )
    if not 0 <= num_references < frames:
        raise ModelError(
            f"num_references must be from 0 to {frames - 1}, for some of the {frames} frames must be a video, got "
            f"{num_references}"
        )


def check_text(config: Any, text: Tensor, batch: int) -> None:
    """Raise :class:`ModelError` unless the text embeddings fit the network."""
    if text.ndim != 3 or text.shape[0] != batch or text.shape[1] < 1 or text.shape[2] != config.text_dim:
        raise ModelError(
            f"encoder_hidden_states must be [{batch}, tokens, {config.text_dim}] (or None: no text), got "
            f"{list(text.shape)}"
        )


def controlled_frames(
    config: Any, latents: Tensor, control: Tensor, num_references: int, control_frames: slice | None, scale: float
) -> tuple[int, int]:
    """Return (first, last + 1) of the frames that the control is for, or raise :class:`ModelError`."""
    channels, frames = config.vace_in_channels, latents.shape[2]
    if control.ndim != 5 or control.shape[1] != channels:
        raise ModelError(
            f"control_hidden_states must be [batch, {channels} channels, frames, h, w], got {list(control.shape)}"
        )
    if control.shape[0] != latents.shape[0] or control.shape[3:] != latents.shape[3:]:
        raise ModelError(
            f"control_hidden_states must have the batch and the size of hidden_states {list(latents.shape)}, got "
            f"{list(control.shape)}"
        )
    first, last = num_references, frames
    if control_frames is not None:
        first, last, step = control_frames.indices(frames)
        if step != 1 or not num_references <= first < last:
            raise ModelError(
                f"control_frames must be a slice of the {frames} frames without gaps and without the "
                f"{num_references} references in front, got {control_frames}"
            )
    if control.shape[2] != last - first:
        raise ModelError(
            f"control_hidden_states have {control.shape[2]} frames for {last - first} frames of hidden_states "
            f"({first} to {last - 1}): pass one for each, or say with control_frames for which they are"
        )
    if not math.isfinite(scale):
        raise ModelError(f"control_scale must be a finite number, got {scale}")
    return first, last


def check_device(latents: Tensor, **others: Tensor | None) -> None:
    """Raise :class:`ModelError` for arguments that lie on several devices."""
    elsewhere = {name: each.device for name, each in others.items() if each is not None}
    wrong = [f"{name} on {device}" for name, device in elsewhere.items() if device != latents.device]
    if wrong:
        raise ModelError(f"hidden_states are on {latents.device}, but {', '.join(wrong)}: move them to one device")


def is_checkpointing(network: Any) -> bool:
    """Return whether blocks are computed again for the gradients instead of kept."""
    return bool(torch.is_grad_enabled() and network.gradient_checkpointing)
