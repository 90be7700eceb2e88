"""Softmax attention, with the kernel chosen by the number of keys.

Fused (flash) kernels work in tiles of 64 to 128 queries and keys. The time-mix attention of a chunk has 8 of each,
once for every pixel and head: a tile of 128 is then 1/256 full, and at full size those tiles add up to 7 % of the
work of the whole network, for 0.02 % of its arithmetic. Two batched matrix products have no such padding, and the
score matrix that a fused kernel exists to avoid is small. With many keys the score matrix is what costs, and the
fused kernel wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

AttentionBackend = Literal["auto", "fused", "matmul"]

# Up to so many keys the batched matrix products are used.
SHORT_SEQUENCE = 16

_backend: AttentionBackend = "auto"


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Return softmax(query key^T / sqrt(D)) value, with the backend that suits the number of keys.

    Which fused kernel runs (flash, cuDNN, memory-efficient) is left to PyTorch, and so to
    ``torch.nn.attention.sdpa_kernel`` around the call.

    :param query: [..., queries, D], any number of leading dimensions.
    :param key: [..., keys, D].
    :param value: [..., keys, D].
    """
    short = key.shape[-2] <= SHORT_SEQUENCE if _backend == "auto" else _backend == "matmul"
    return _matmul(query, key, value) if short else _fused(query, key, value)


@contextmanager
def attention_backend(backend: AttentionBackend) -> Iterator[None]:
    """Make every attention in the block use one backend; for measurements of what the choice is worth."""
    global _backend
    previous, _backend = _backend, backend
    try:
        yield
    finally:
        _backend = previous


def _fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    # The fused kernels take exactly one batch dimension and one of heads.
    batch = query.shape[:-3]
    query, key, value = (part.flatten(0, -4) if part.ndim > 4 else part for part in (query, key, value))
    return F.scaled_dot_product_attention(query, key, value).unflatten(0, batch)


def _matmul(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    # As inside the fused kernels, scores of 16-bit inputs are kept in 32 bits, the weights are rounded to 16.
    precise = torch.promote_types(query.dtype, torch.float32)
    query, key = (part.to(precise, memory_format=torch.contiguous_format).contiguous() for part in (query, key))
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    return scores.softmax(dim=-1).to(value.dtype) @ value
