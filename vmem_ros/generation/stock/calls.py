"""What the call of a pipeline takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from diffusers import DiffusionPipeline


def parameters(kind: type[DiffusionPipeline]) -> Mapping[str, inspect.Parameter]:
    """Return the arguments of the call of a pipeline by name."""
    return inspect.signature(kind.__call__).parameters


def takes(kind: type[DiffusionPipeline], name: str) -> bool:
    """Return whether the call of a pipeline has an argument."""
    return name in parameters(kind)


def default_of(kind: type[DiffusionPipeline], name: str) -> Any:
    """Return what an argument of the call is if nobody says it; ``None``: it has none."""
    parameter = parameters(kind).get(name)
    return None if parameter is None or parameter.default is inspect.Parameter.empty else parameter.default
