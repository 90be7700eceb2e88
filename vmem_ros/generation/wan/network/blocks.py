"""Blocks of diffusers' Wan, told of the time of each frame.

Diffusers takes one time for a whole video, or one for each token. Here frames have times of their own: what is given
is at time 0, what is drawn is not. Tokens of a frame share its time, so modulation is [B, F, 6, D] and never as large
as the tokens; control blocks, which diffusers knows with one time only, get the same.
"""

from __future__ import annotations

from typing import Any

from diffusers.models.transformers.transformer_wan import WanTransformerBlock
from diffusers.models.transformers.transformer_wan_vace import WanVACETransformerBlock
from torch import Tensor

#: Cosines and sines of rotary positions.
Rotary = tuple[Tensor, Tensor]


class SceneWanBlock(WanTransformerBlock):
    """A block of the main stream."""

    def forward(self, hidden_states: Tensor, text: Tensor, modulation: Tensor, rotary: Rotary) -> Tensor:
        """Return tokens [B, L, D].

        :param text: [B, T, D].
        :param modulation: [B, F, 6, D] of the times of F frames with L / F tokens each.
        """
        return _attend_and_feed(self, hidden_states, text, modulation, rotary)


class SceneWanControlBlock(WanVACETransformerBlock):
    """A block of the control stream."""

    def forward(
        self, control: Tensor, start: Tensor, text: Tensor, modulation: Tensor, rotary: Rotary
    ) -> tuple[Tensor, Tensor]:
        """Return what is added to the main stream, and the control stream: [B, L, D] each.

        :param start: tokens of the main stream before its first block, which the first control block begins with.
        """
        if self.proj_in is not None:
            control = self.proj_in(control) + start
        control = _attend_and_feed(self, control, text, modulation, rotary)
        return self.proj_out(control), control


def modulated(normed: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return tokens [B, L, D] scaled and shifted frame by frame with [B, F, D] each."""
    frames = scale.shape[1]
    by_frame = normed.unflatten(1, (frames, -1))
    return (by_frame * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)


def _attend_and_feed(block: Any, hidden: Tensor, text: Tensor, modulation: Tensor, rotary: Rotary) -> Tensor:
    """Return tokens after self-attention, attention to the text and the feed-forward layer of a block.

    As in diffusers, norms and sums are of float32 whatever the network computes in.
    """
    table = block.scale_shift_table.to(modulation.device, modulation.dtype) + modulation
    shift, scale, gate, feed_shift, feed_scale, feed_gate = table.unbind(dim=2)
    normed = modulated(block.norm1(hidden.float()), scale, shift).type_as(hidden)
    hidden = _added(hidden, block.attn1(normed, None, None, rotary), gate)
    normed = block.norm2(hidden.float()).type_as(hidden)
    hidden = hidden + block.attn2(normed, text, None, None)
    normed = modulated(block.norm3(hidden.float()), feed_scale, feed_shift).type_as(hidden)
    return _added(hidden, block.ffn(normed), feed_gate)


def _added(hidden: Tensor, update: Tensor, gate: Tensor) -> Tensor:
    """Return hidden + gate * update, where the gate [B, F, D] is that of the frame."""
    by_frame = update.float().unflatten(1, (gate.shape[1], -1)) * gate[:, :, None]
    return (hidden.float() + by_frame.flatten(1, 2)).type_as(hidden)
