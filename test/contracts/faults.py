"""Running out of memory at any moment: whatever a call does, it may fail there, and must leave everything as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class _Countdown(TorchFunctionMode):
    """Lets so many operations on tensors pass and fails the next one, once."""

    def __init__(self, passing: int) -> None:
        super().__init__()
        self.left = passing

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.left -= 1
        if self.left == -1:
            raise torch.OutOfMemoryError("no memory is left for this test")
        return function(*args, **(kwargs or {}))


def operations_of(call: Callable[[], object]) -> int:
    """Return how many operations on tensors a call consists of; it is made."""
    never = 1 << 40
    with _Countdown(never) as counted:
        call()
    return never - counted.left


def failing_at(call: Callable[[], object], number: int) -> bool:
    """Make a call whose operation ``number`` (from 0) fails for want of memory, and return whether it was raised."""
    try:
        with _Countdown(number):
            call()
    except torch.OutOfMemoryError:
        return True
    return False


def moments(operations: int, most: int) -> Iterator[int]:
    """Yield up to ``most`` numbers of operations, evenly spread, the first and the last among them."""
    count = min(operations, most)
    yield from sorted({round(i * (operations - 1) / max(1, count - 1)) for i in range(count)})
