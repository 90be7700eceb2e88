"""Samples are made in full precision, also where a network is trained in less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute as written, whatever the types that a network is trained in; also as a decorator."""
    with torch.autocast("cpu", enabled=False):
        yield
