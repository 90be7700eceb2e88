"""How noise becomes a clip: what a model does by itself, and what a caller may ask for instead."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmem_ros.errors import ModelError


@dataclass(frozen=True, kw_only=True)
class ClipSamplingOptions:
    """What a caller asks for; ``None``: as the model draws by itself (:class:`ClipSampling`)."""

    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    control_scale: float | None = None


@dataclass(frozen=True, kw_only=True)
class ClipSampling:
    """How a model draws where nobody asks for anything else; the defaults are those of Spatia's published code.

    Part of a pipeline folder: the field ``sampling`` of ``model_index.json`` names those that differ.

    :param guidance_scale: how far away from the negative prompt; 1 is none, at half the cost.
    :param control_scale: what the network adds for the scene is multiplied by.
    :raises ModelError: numbers that mean nothing.
    """

    num_inference_steps: int = 40
    guidance_scale: float = 3.5
    control_scale: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.num_inference_steps, int) or self.num_inference_steps < 1:
            raise ModelError(f"num_inference_steps must be a whole number from 1, got {self.num_inference_steps!r}")
        for name in ("guidance_scale", "control_scale"):
            value = getattr(self, name)
            if not (isinstance(value, (int, float)) and math.isfinite(value) and value >= 0):
                raise ModelError(f"{name} must be a finite number of at least 0, got {value!r}")

    @classmethod
    def of(cls, fields: Mapping[str, Any] | None) -> ClipSampling:
        """Return the options of a pipeline folder.

        :raises ModelError: a field that does not exist.
        """
        allowed = [field.name for field in dataclasses.fields(cls)]
        if unknown := sorted(set(fields or {}) - set(allowed)):
            raise ModelError(f"sampling has no field {unknown[0]}: allowed are {', '.join(allowed)}")
        return cls(**(fields or {}))

    def override(self, asked: ClipSamplingOptions) -> ClipSampling:
        """Return these options with those that a caller asks for in their place."""
        return dataclasses.replace(self, **{name: value for name, value in vars(asked).items() if value is not None})
