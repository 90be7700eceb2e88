"""What a diffusers pipeline calls after each step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

#: ``callback_on_step_end`` of diffusers.
StepCallback = Callable[[Any, int, Any, dict[str, Tensor]], dict[str, Tensor]]


def step_callback(after_step: Callable[[int], None]) -> StepCallback:
    """Return a ``callback_on_step_end`` that changes nothing.

    :param after_step: is called with the number of the step, from 1; what it raises ends the pipeline.
    """

    def on_step_end(_: Any, index: int, timestep: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        after_step(index + 1)
        return tensors

    return on_step_end
