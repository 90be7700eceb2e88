"""What the network may be called with; every mistake is found before any work."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.network.prepared import PreparedConditioning


def check_sample(config: Any, divisor: int, sample: Tensor, timestep: Tensor, num_frames: int) -> None:
    """Raise :class:`ModelError` unless the frames to denoise fit the network of ``config``."""
    channels = config.in_channels + config.projection_channels
    if sample.ndim != 4 or sample.shape[1] != channels:
        parts = f"{config.in_channels} + {config.projection_channels} of the projection"
        raise ModelError(f"sample must be [frames, {channels} channels ({parts}), h, w], got {list(sample.shape)}")
    _check_frames("sample", sample.shape[0], num_frames)
    _check_size("sample", sample, divisor)
    if tuple(timestep.shape) != (sample.shape[0],):
        raise ModelError(
            f"timestep must be [{sample.shape[0]}], one entry per frame of the sample, got {list(timestep.shape)}"
        )


def check_conditioning(
    config: Any,
    divisor: int,
    context: Tensor | None,
    dense: Tensor | None,
    num_frames: int,
    sample: Tensor | None = None,
) -> None:
    """Raise :class:`ModelError` unless context and dense map fit the network of ``config``, each other and ``sample``.

    Without a sample, a dense map of fewer sets may stand for those of the context in turns.
    """
    if context is None or dense is None:
        raise ModelError(
            "encoder_hidden_states and dense_conditioning are both needed: pass them, or prepared=unet.prepare(...)"
        )
    if context.ndim != 3 or context.shape[1] < 1 or context.shape[2] != config.context_dim:
        raise ModelError(
            f"encoder_hidden_states must be [frames, tokens, {config.context_dim}], got {list(context.shape)}"
        )
    frames = context.shape[0]
    _check_frames("encoder_hidden_states", frames, num_frames)
    sets = frames // num_frames
    allowed = (frames,) if sample is not None else tuple(frames // n for n in range(1, sets + 1) if sets % n == 0)
    if dense.ndim != 4 or dense.shape[0] not in allowed or dense.shape[1] != config.dense_in_channels:
        count = " or ".join(map(str, allowed))
        raise ModelError(
            f"dense_conditioning must be [{count}, {config.dense_in_channels}, h, w] for {frames} frames in sets of "
            f"{num_frames}, got {list(dense.shape)}"
        )
    _check_size("dense_conditioning", dense, divisor)
    if sample is not None and (frames != sample.shape[0] or dense.shape[-2:] != sample.shape[-2:]):
        raise ModelError(
            f"the conditioning must be of the sample's {sample.shape[0]} frames at {_text(sample)}, got {frames} "
            f"frames at {_text(dense)}"
        )


def check_prepared(
    prepared: PreparedConditioning, context: Tensor | None, dense: Tensor | None, num_frames: int, sample: Tensor
) -> None:
    """Raise :class:`ModelError` unless ``prepared`` stands alone and was made for frames like those of ``sample``."""
    if context is not None or dense is not None:
        raise ModelError("pass either prepared, or encoder_hidden_states and dense_conditioning, not both")
    expected = (prepared.sets * prepared.num_frames, prepared.num_frames, *prepared.size)
    if expected != (sample.shape[0], num_frames, *sample.shape[-2:]):
        height, width = prepared.size
        raise ModelError(
            f"the conditioning was prepared for {prepared.sets} sets of {prepared.num_frames} frames at {height} x "
            f"{width}, the sample has {sample.shape[0]} frames in sets of {num_frames} at {_text(sample)}: prepare "
            "again, or select sets of it"
        )


def _check_frames(name: str, frames: int, num_frames: int) -> None:
    if num_frames < 1 or frames < 1 or frames % num_frames:
        raise ModelError(
            f"{name} has {frames} frames, which are no whole number of sets of num_frames={num_frames}; pass num_frames"
        )


def _check_size(name: str, tensor: Tensor, divisor: int) -> None:
    height, width = tensor.shape[-2:]
    if height < 1 or width < 1 or height % divisor or width % divisor:
        raise ModelError(
            f"{name} is {_text(tensor)} (height x width), but both must be multiples of {divisor}: crop or pad"
        )


def _text(tensor: Tensor) -> str:
    return f"{tensor.shape[-2]} x {tensor.shape[-1]}"
