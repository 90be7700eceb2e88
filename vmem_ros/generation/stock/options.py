"""What engines that run a pipeline of diffusers have in common, without anything that takes long to import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from vmem_ros.generation.sampling_request import requested
from vmem_ros.pretrained.devices import DTYPES, DtypeName

#: Where the parts of a model are while they are not at work: ``none``: on the device; ``model``: on the CPU, each moved
#: as a whole; ``sequential``: on the CPU, each layer moved by itself, which is slow and needs least.
Offload = Literal["none", "model", "sequential"]
OFFLOADS = get_args(Offload)


@dataclass(frozen=True, kw_only=True)
class StockSampling:
    """How noise becomes pictures; ``None``: as the pipeline draws by itself.

    :param num_inference_steps: evaluations of the network.
    :param guidance_scale: how far away from the negative prompt; 1 is none.
    """

    num_inference_steps: int | None = None
    guidance_scale: float | None = None

    def __post_init__(self) -> None:
        steps = self.num_inference_steps
        if steps is not None and (type(steps) is not int or steps < 1):
            raise ValueError(f"sampling.num_inference_steps must be a whole number of 1 or more, got {steps!r}")
        self._check("guidance_scale")

    def _check(self, name: str, most: float = math.inf) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= most:
            bounds = "of at least 0" if most == math.inf else f"between 0 and {most:g}"
            raise ValueError(f"sampling.{name} must be a finite number {bounds}, got {value!r}")


@dataclass(frozen=True, kw_only=True)
class StockOptions:
    """Options of every engine that runs a pipeline of diffusers.

    :param model: a pipeline folder, or ``owner/name`` on the Hugging Face Hub.
    :param dtype: type of the networks' numbers; ``auto``: bfloat16 on a GPU, float32 on a CPU.
    :param offload: see :data:`Offload`.
    :param vae_tiling: encode and decode in tiles: less memory, more time, and perhaps seams.
    :param min_side: smaller views are drawn larger, for these models draw badly below what they were trained at: the
        larger side in pixels.
    :param max_side: larger views are drawn smaller and enlarged: the larger side in pixels.
    :param allow_download: fetch a model that is not on this machine.
    :param max_references: remembered views that the model is shown at most, where it takes some.
    :param prompt: of views for which no other one is given.
    :param negative_prompt: what guidance leads away from, where there is guidance.
    :param sampling: how noise becomes pictures: the engine's own kind of request, its fields by name, or what has them.
    """

    #: What ``sampling`` becomes.
    requests: ClassVar[type[StockSampling]] = StockSampling

    model: Path | str = ""
    dtype: DtypeName = "auto"
    offload: Offload = "none"
    vae_tiling: bool = False
    min_side: int = 512
    max_side: int = 1024
    allow_download: bool = False
    max_references: int = 4
    prompt: str = ""
    negative_prompt: str = ""
    sampling: Any = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in (("dtype", DTYPES), ("offload", OFFLOADS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name, least in (("min_side", 1), ("max_side", 1), ("max_references", 0)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be a whole number of {least} or more, got {value!r}")
        if self.min_side > self.max_side:
            # A bound that somebody sets wins over a recommendation.
            object.__setattr__(self, "min_side", self.max_side)
        object.__setattr__(self, "sampling", requested(self.requests, self.sampling))


def as_fields(value: Mapping[str, Any] | None, name: str) -> dict[str, Any]:
    """Return a mapping of an option.

    :raises ValueError: it is none, or has keys that are no names.
    """
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key.isidentifier() for key in value):
        raise ValueError(f"{name} must be a mapping of names to values, got {value!r}")
    return dict(value)
