"""Ctrl-C and SIGTERM end a training after the step that is being taken."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import Accelerator


class StopSignal:
    """Whether this training was told to stop."""

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._received = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take signals while the block runs: the first one is noted, the second one ends the process as ever.

        A launcher of several processes passes signals on, so that one may come twice: there, each is only noted. Only
        the main thread can take signals; in others nothing changes.
        """
        before: dict[int, Any] = {}

        def note(*_: object) -> None:
            self._received = True
            if self._accelerator.num_processes > 1:
                return
            print("stopping after this step; once more: now, without a checkpoint", file=sys.stderr)
            for number, handler in before.items():
                signal.signal(number, handler)

        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before |= {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def received(self) -> bool:
        """Return whether any process of the training was told to stop; a checkpoint takes all of them."""
        if self._accelerator.num_processes == 1:
            return self._received
        told = torch.tensor([float(self._received)], device=self._accelerator.device)
        return bool(self._accelerator.reduce(told).item())
