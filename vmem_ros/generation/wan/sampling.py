"""From noise to the latent frames of one round, around frames that are given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vmem_ros.errors import ModelError


@dataclass(frozen=True, eq=False)
class RoundConditioning:
    """What a round is told. Latents are [B, C, frames, h, w] and clean; none of them needs to be there.

    :param text: embeddings [B, T, D].
    :param negative_text: what guidance leads away from; ``None``: there is no guidance.
    :param history: the first of the frames to draw, as they are known: one picture, or the end of the round before.
    :param references: pictures from elsewhere, which the network sees beside the video.
    :param preceding: frames that are known, which it sees after the video.
    :param control: [B, 2 C, frames, h, w] what memory shows of the frames to draw, history included, and then of the
        preceding ones.
    :param control_scale: what the control is multiplied by.
    """

    text: Tensor | None = None
    negative_text: Tensor | None = None
    history: Tensor | None = None
    references: Tensor | None = None
    preceding: Tensor | None = None
    control: Tensor | None = None
    control_scale: float = 1.0

    @property
    def goes_on(self) -> bool:
        """Whether more than a first picture is known: a round that goes on from another one, or sees references."""
        return self.references is not None or (self.history is not None and self.history.shape[2] > 1)


@dataclass
class RoundStep:
    """One step of a round.

    :param index: of the step, from 0.
    :param timestep: scalar.
    :param latents: [B, C, F, h, w] float32 after the step, history included; may be replaced to go on with others.
    """

    index: int
    timestep: Tensor
    latents: Tensor


def sample_round(
    network: Any,
    scheduler: Any,
    noise: Tensor,
    told: RoundConditioning,
    *,
    guidance_scale: float = 1.0,
) -> Iterator[RoundStep]:
    """Yield after each step; the latents of the last one are the result.

    Given frames go through the solver, too, and are put back after every step, as the network must see them clean.

    :param network: called as ``SceneWanTransformer3DModel``, in its own type.
    :param scheduler: at its start (:func:`~vmem_ros.generation.wan.schedules.started`).
    :param noise: [B, C, F, h, w] float32 of unit variance, history included.
    :param guidance_scale: how far away from the negative text, 1 not at all; each step costs two passes otherwise.
    :raises ModelError: latents that do not fit each other.
    """
    check_round(noise, told)
    known = 0 if told.history is None else told.history.shape[2]
    guided = guidance_scale != 1 and told.negative_text is not None
    latents = _with_history(noise, told.history)
    for index, timestep in enumerate(scheduler.timesteps):
        flow = flow_of(network, latents, timestep, known, told, told.text)
        if guided:
            without = flow_of(network, latents, timestep, known, told, told.negative_text)
            flow = without + guidance_scale * (flow - without)
        (drawn,) = scheduler.step(flow, timestep, latents, return_dict=False)
        step = RoundStep(index, timestep, _with_history(drawn, told.history))
        yield step
        latents = step.latents


def flow_of(
    network: Any, latents: Tensor, timestep: Tensor, known: int, told: RoundConditioning, text: Tensor | None
) -> Tensor:
    """Return the flow [B, C, F, h, w] float32 of the frames to draw.

    :param latents: of the frames to draw [B, C, F, h, w], the first ``known`` of them given.
    :param timestep: scalar, or [B, 1] where each sample has its own.
    """
    parts = [part for part in (told.references, latents, told.preceding) if part is not None]
    first = 0 if told.references is None else told.references.shape[2]
    frames = slice(first, first + latents.shape[2])
    stream = torch.cat([part.to(latents) for part in parts], dim=2)
    times = torch.zeros(stream.shape[0], stream.shape[2], device=latents.device)
    times[:, first + known : frames.stop] = timestep.to(times)
    # One that is wrapped for training names no type, and takes that of the latents.
    dtype = getattr(network, "dtype", latents.dtype)
    (flow,) = network(
        stream.to(dtype),
        times,
        None if text is None else text.to(latents.device, dtype),
        control_hidden_states=None if told.control is None else told.control.to(latents.device, dtype),
        num_references=first,
        control_scale=told.control_scale,
    )
    return flow[:, :, frames].float()


def check_round(noise: Tensor, told: RoundConditioning) -> None:
    """Raise :class:`ModelError` unless latents of a round fit each other."""
    shape = list(noise.shape)
    if noise.ndim != 5 or not bool(torch.isfinite(noise).all()):
        raise ModelError(f"noise must be finite [batch, channels, frames, h, w], got {shape}")
    for name in ("history", "references", "preceding"):
        part = getattr(told, name)
        if part is None:
            continue
        found = list(part.shape)
        if part.ndim != 5 or found[2] < 1 or found[:2] + found[3:] != shape[:2] + shape[3:]:
            raise ModelError(f"{name} must be latents like the noise {shape} but for the number of frames, got {found}")
    known = 0 if told.history is None else told.history.shape[2]
    if known >= shape[2]:
        raise ModelError(f"{known} of {shape[2]} latent frames are given as history: nothing is left to draw")


def _with_history(latents: Tensor, history: Tensor | None) -> Tensor:
    if history is None:
        return latents
    return torch.cat([history.to(latents), latents[:, :, history.shape[2] :]], dim=2)
