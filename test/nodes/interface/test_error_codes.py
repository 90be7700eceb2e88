"""Errors across processes: codes, classes and texts."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from vmem_ros.msg import ErrorCode as ErrorCodeMessage

from vmem_ros.errors import ErrorCode, MemoryFullError, ModelError
from vmem_ros.nodes.interface import error_codes


@pytest.mark.parametrize("code", [c for c in ErrorCode if c != ErrorCode.NONE])
def test_every_code_has_a_class_and_survives_the_text(code: ErrorCode) -> None:
    error = error_codes.error_of(int(code), "what to do: this")
    assert error.code == code
    again = error_codes.error_from_text(error_codes.as_text(error))
    assert (type(again), str(again)) == (type(error), "what to do: this")


def test_codes_are_those_of_the_message() -> None:
    assert {c.name: getattr(ErrorCodeMessage, c.name) for c in ErrorCode} == {c.name: c.value for c in ErrorCode}


def test_foreign_errors_are_named() -> None:
    named = error_codes.as_vmem_error(KeyError("weights"))
    assert isinstance(named, ModelError)
    assert str(named) == "KeyError: 'weights'"


TOO_MUCH = {
    "torch": lambda: torch.empty(10**16),
    "numpy": lambda: np.empty(10**17),
    "python": lambda: bytearray(10**17),
    "opencv": lambda: cv2.resize(np.zeros((4, 4, 3), np.uint8), (2**31 - 1, 2**28)),
}


@pytest.mark.parametrize("ask", TOO_MUCH.values(), ids=TOO_MUCH)
def test_memory_that_no_machine_has(ask: Callable[[], object]) -> None:
    """As each library says so; on the CPU torch has no class for it."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 (each has its own)
        ask()
    named = error_codes.as_vmem_error(caught.value)
    assert isinstance(named, MemoryFullError)
    assert str(named).startswith("out of memory (")
    assert "()" not in str(named)


def test_a_graphics_card_that_is_full() -> None:
    assert isinstance(error_codes.as_vmem_error(torch.OutOfMemoryError("CUDA")), MemoryFullError)


def test_unknown_codes_and_texts() -> None:
    assert str(error_codes.error_of(999, "new")) == "new"
    assert str(error_codes.error_from_text("free text")) == "free text"
