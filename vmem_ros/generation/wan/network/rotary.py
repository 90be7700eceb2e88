"""Rotary positions of a video and of the reference pictures in front of it.

The video stands at times 0, 1, ...; references stand before it, at -R .. -1, and below it: their rows follow the rows
of the video. Columns are the same for both. So no reference is at a place of the video, whatever its length.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BASE = 10_000.0


class SceneRotaryPosEmbed(nn.Module):
    """Angles of (time, row, column) for each token, as cosines and sines.

    :param head_dim: channels of an attention head; those that rows and columns each take are its third, made even, and
        time takes the rest.
    """

    def __init__(self, head_dim: int) -> None:
        super().__init__()
        space = 2 * (head_dim // 6)
        self.split = (head_dim - 2 * space, space, space)

    def angles(self, frames: int, rows: int, columns: int, references: int = 0) -> Tensor:
        """Return radians [(references + frames) * rows * columns, head_dim / 2] float64, on the CPU.

        Tokens go frame by frame, row by row; the references come first.
        """
        time = torch.arange(-references, frames, dtype=torch.float64)
        row = torch.arange(rows, dtype=torch.float64)
        column = torch.arange(columns, dtype=torch.float64)
        shifted = torch.where(time[:, None] < 0, row + rows, row)
        t, h, w = (_frequencies(dim) for dim in self.split)
        shape = (len(time), rows, columns, -1)
        parts = (
            (time[:, None] * t)[:, None, None].expand(shape),
            (shifted[..., None] * h)[:, :, None].expand(shape),
            (column[:, None] * w)[None, None].expand(shape),
        )
        return torch.cat(parts, dim=-1).flatten(0, 2)

    def forward(
        self, frames: int, rows: int, columns: int, references: int = 0, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Return cosines and sines [1, tokens, 1, head_dim] float32, each pair of channels with one angle."""
        angles = self.angles(frames, rows, columns, references).repeat_interleave(2, dim=-1)[None, :, None]
        return angles.cos().to(device, torch.float32), angles.sin().to(device, torch.float32)


def _frequencies(dim: int) -> Tensor:
    return _BASE ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
