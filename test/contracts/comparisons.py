"""Comparing what memories hold and show, bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from vmem_ros.protocols import Memory
from vmem_ros.types import Projection


def snapshot(memory: Memory, *, votes: bool = True) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return a copy of everything a memory holds; the votes counted so far are optional."""
    tensors, metadata = memory.state()
    kept = {name: value.clone() for name, value in tensors.items() if votes or name != "views/popularity"}
    return kept, metadata


def differences(a: tuple[Mapping[str, torch.Tensor], Any], b: tuple[Mapping[str, torch.Tensor], Any]) -> list[str]:
    """Return the names of what differs between two snapshots; bit by bit, NaN equal to NaN."""
    names = sorted(a[0].keys() | b[0].keys())
    tensors = [n for n in names if n not in a[0] or n not in b[0] or not equal(a[0][n], b[0][n])]
    return tensors + ([] if a[1] == b[1] else ["metadata"])


def same_projection(a: Projection, b: Projection) -> bool:
    """Tell whether two projections are equal bit by bit."""
    return all(equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))


def equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    """Tell whether two tensors are equal bit by bit, NaN equal to NaN; so are two that are not there."""
    if a is None or b is None:
        return a is b
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return torch.equal(a.nan_to_num(nan=-7.0), b.nan_to_num(nan=-7.0)) if a.is_floating_point() else torch.equal(a, b)
