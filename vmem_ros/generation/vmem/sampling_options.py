"""How noise becomes pictures: what a model does by itself, and what a caller may ask for instead."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vmem_ros.errors import ModelError

#: How the noise levels are walked: ``published`` is Euler over equal index distances, as the weights were released;
#: ``fast`` is DPM-Solver++(2M) over equal ratios of sigma.
Sampler = Literal["published", "fast"]
#: Denoising steps where neither the caller nor the model says.
DEFAULT_STEPS: dict[Sampler, int] = {"published": 50, "fast": 15}


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """What a caller asks for; ``None``: as the model draws by itself (:class:`SamplingDefaults`).

    The fields are arguments of :class:`~vmem_ros.generation.vmem.pipeline.VMemPipeline`, and described there.
    """

    sampler: Sampler | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    guidance_min: float | None = None
    guidance_interval: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class SamplingDefaults:
    """How a model draws where nobody asks for anything else; the defaults are those of the published weights.

    Part of a pipeline folder: the field ``sampling`` of ``model_index.json`` names those that differ.

    :param guidance_interval: ``None``: all noise levels.
    """

    sampler: Sampler = "published"
    num_inference_steps: int = DEFAULT_STEPS["published"]
    guidance_scale: float = 2.0
    guidance_min: float = 1.2
    guidance_interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any] | None) -> SamplingDefaults:
        """Return the options of a pipeline folder.

        :raises ModelError: a field that does not exist.
        """
        fields = dict(fields or {})
        allowed = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(fields) - set(allowed))
        if unknown:
            raise ModelError(f"sampling has no field {unknown[0]}: allowed are {', '.join(allowed)}")
        if fields.get("guidance_interval") is not None:
            fields["guidance_interval"] = tuple(fields["guidance_interval"])
        return cls(**fields)

    def override(self, sampling: SamplingOptions) -> SamplingDefaults:
        """Return these options with those that a caller asks for in their place.

        A number of steps belongs to its sampler: with another sampler, and no number, it is that sampler's default.
        """
        chosen = {name: value for name, value in vars(sampling).items() if value is not None}
        if chosen.get("sampler", self.sampler) != self.sampler:
            # A sampler that does not exist is refused by name when it is used.
            chosen.setdefault("num_inference_steps", DEFAULT_STEPS.get(chosen["sampler"], 1))
        return dataclasses.replace(self, **chosen)
