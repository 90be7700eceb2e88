"""Engines for tests, named to the node as ``slow_engine:<factory>``: the real reprojection behind faults and delays."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.protocols import OnStep, ShouldStop
from vmem_ros.types import Recall, Target, View

STEPS = 5
STEP_S = 0.04
#: Columns of the widest view that fits into its memory.
LARGEST = 100


class SlowGenerator(ReprojectionGenerator):
    """Takes steps before each chunk, as a diffusion model does, and needs too much memory for large views."""

    name = "slow"

    def __init__(self, *, step_s: float = STEP_S) -> None:
        super().__init__()
        self._step_s = step_s

    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        if targets[0].camera.width > LARGEST:
            raise torch.OutOfMemoryError("tried to allocate 80.00 GiB")
        for step in range(1, STEPS + 1):
            if should_stop is not None and should_stop():
                raise CancelledError(f"cancelled at step {step}")
            time.sleep(self._step_s)
            if on_step is not None:
                on_step(step, STEPS)
        return super().generate(recall, targets, seed=seed)


def create(*, device: str) -> SlowGenerator:
    return SlowGenerator()


def creeping(*, device: str) -> SlowGenerator:
    """Takes so long a step that what is asked for in it waits for it."""
    return SlowGenerator(step_s=1.0)


class EndlessGenerator(ReprojectionGenerator):
    """Computes for ever, and asks nobody whether it should stop."""

    def generate(self, *arguments: object, on_step: OnStep, **options: object) -> list[View]:  # type: ignore[override]
        on_step(1, STEPS)
        matrix = torch.eye(1500)
        while True:
            matrix = matrix @ matrix


def endless(*, device: str) -> EndlessGenerator:
    return EndlessGenerator()


def with_stuck_disk(*, device: str) -> ReprojectionGenerator:
    """A disk that never finishes the first save whose mark file exists."""
    real = os.fsync

    def fsync(file: object) -> None:
        mark = Path(os.environ["VMEM_TEST_MARK"])
        if mark.exists():
            mark.unlink()
            time.sleep(3600)
        real(file)  # type: ignore[arg-type]

    os.fsync = fsync  # type: ignore[assignment]
    return ReprojectionGenerator()


def missing_weights(*, device: str) -> ReprojectionGenerator:
    """Fails once the mark file is gone."""
    while Path(os.environ["VMEM_TEST_MARK"]).exists():
        time.sleep(0.01)
    raise ModelError("weights.safetensors is missing: fetch it with `vmem fetch`")
