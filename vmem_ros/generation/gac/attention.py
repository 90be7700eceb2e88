"""Attention that knows the camera: rays move the queries and open the gates, keys and values never see them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vmem_ros.errors import ModelError
from vmem_ros.generation.gac.rotary import rotate

# Of gates that are nearly open: sigmoid(0) would halve what every attention of a trained network says.
_OPEN = 4.0


@dataclass
class KeysValues:
    """Keys and values [B, kv_heads, N, head width] of the tokens that later ones may look at."""

    keys: Tensor
    values: Tensor

    def followed_by(self, more: KeysValues) -> KeysValues:
        """Return these, then those of ``more``."""
        return KeysValues(torch.cat([self.keys, more.keys], dim=2), torch.cat([self.values, more.values], dim=2))


class CameraGatedAttention(nn.Module):
    """Camera-gated attention of Geometry-as-Context, equations 13 to 16.

    ::

        Q, K, V = qkv(features)
        residual, gate = camera(Q + rays)
        out(softmax((Q + residual) K^T / sqrt(head width)) V * sigmoid(gate))

    :param dim: D, width of tokens.
    :param heads: of the queries.
    :param kv_heads: of keys and values, which groups of query heads share; ``None``: as many as ``heads``.
    :param bias: of ``qkv`` and ``camera``, and of ``out`` unless ``out_bias`` says otherwise.
    :param qk_norm: scale each head of ``Q + residual`` and of K to a root mean square of one, times a learnt weight.
    :raises ModelError: numbers that do not divide.
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        kv_heads: int | None = None,
        bias: bool = True,
        *,
        out_bias: bool | None = None,
        qk_norm: bool = False,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        kv_heads = heads if kv_heads is None else kv_heads
        if min(dim, heads, kv_heads) < 1 or dim % heads or heads % kv_heads:
            raise ModelError(
                f"dim must be a multiple of heads, and heads one of kv_heads, got {dim}, {heads} and {kv_heads}"
            )
        self.heads, self.kv_heads, self.head_width = heads, kv_heads, dim // heads
        self._widths = (dim, kv_heads * self.head_width, kv_heads * self.head_width)
        self.qkv = nn.Linear(dim, sum(self._widths), bias=bias)
        self.camera = nn.Linear(dim, 2 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias if out_bias is None else out_bias)
        self.q_norm = nn.RMSNorm(self.head_width, eps=eps) if qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(self.head_width, eps=eps) if qk_norm else nn.Identity()

    def forward(
        self,
        features: Tensor,
        rays: Tensor,
        mask: Tensor | None = None,
        *,
        rotary: tuple[Tensor, Tensor] | None = None,
        posed: Tensor | None = None,
        before: KeysValues | None = None,
    ) -> Tensor:
        """Return [B, N, D]; arguments as of :meth:`attend`."""
        return self.attend(features, rays, mask, rotary=rotary, posed=posed, before=before)[0]

    def attend(
        self,
        features: Tensor,
        rays: Tensor,
        mask: Tensor | None = None,
        *,
        rotary: tuple[Tensor, Tensor] | None = None,
        posed: Tensor | None = None,
        before: KeysValues | None = None,
    ) -> tuple[Tensor, KeysValues]:
        """Return what the tokens say [B, N, D], and their own keys and values.

        :param features: [B, N, D].
        :param rays: [B, N, D], of the camera of the image that a token belongs to; zero for tokens of no image.
        :param mask: [N, M] bool, true where a token (row) may look at another (column); ``None``: everywhere.
        :param rotary: cosines and sines [N, head width] of the positions of the tokens
            (:func:`~vmem_ros.generation.gac.rotary.rotary_table`); ``None``: tokens have no positions.
        :param posed: [N] bool: tokens of images, which have a camera. Others have neither residual nor gate. ``None``:
            all are of images.
        :param before: of tokens that came before these, and that all of these may look at as far as ``mask`` says: its
            columns begin with them, M = their number + N.
        """
        q, k, v = self.qkv(features).split(self._widths, dim=-1)
        residual, gate = self.camera(q + rays).chunk(2, dim=-1)
        if posed is not None:
            residual = torch.where(posed[:, None], residual, 0.0)
        queries = self.q_norm(self._by_head(q + residual, self.heads))
        keys = self.k_norm(self._by_head(k, self.kv_heads))
        if rotary is not None:
            queries, keys = rotate(queries, rotary), rotate(keys, rotary)
        own = KeysValues(keys, self._by_head(v, self.kv_heads))
        seen = own if before is None else before.followed_by(own)
        found = F.scaled_dot_product_attention(
            queries, seen.keys, seen.values, attn_mask=mask, enable_gqa=self.kv_heads != self.heads
        )
        opened = torch.sigmoid(gate)
        if posed is not None:
            opened = torch.where(posed[:, None], opened, 1.0)
        return self.out(found.transpose(1, 2).flatten(2) * opened), own

    @torch.no_grad()
    def ignore_cameras(self) -> None:
        """Make the residual zero and the gates nearly open: where training begins, from nothing or from other weights.

        At sigmoid(4) = 0.98 an attention that was trained without cameras says what it said.
        """
        dim = self.out.in_features
        nn.init.zeros_(self.camera.weight[:dim])
        nn.init.zeros_(self.camera.weight[dim:])
        if self.camera.bias is not None:
            nn.init.zeros_(self.camera.bias[:dim])
            nn.init.constant_(self.camera.bias[dim:], _OPEN)

    def _by_head(self, tokens: Tensor, heads: int) -> Tensor:
        """Return [B, heads, N, head width]."""
        return tokens.unflatten(-1, (heads, self.head_width)).transpose(1, 2)
