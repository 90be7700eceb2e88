"""Options of the engine ``spatia``, without anything that takes long to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vmem_ros.generation.sampling_request import requested
from vmem_ros.generation.stock.options import OFFLOADS, Offload
from vmem_ros.generation.wan.sampling_options import ClipSamplingOptions
from vmem_ros.pretrained.devices import DTYPES, DtypeName
from vmem_ros.pretrained.shipped import SPATIA_MODEL


@dataclass(frozen=True, kw_only=True)
class SpatiaOptions:
    """Options of :class:`~vmem_ros.generation.wan.generator.SpatiaGenerator`.

    :param model: one that comes with the package, a pipeline folder, or ``owner/name`` on the Hugging Face Hub.
    :param dtype: type of the network's numbers; ``auto``: bfloat16 on a GPU, float32 on a CPU.
    :param compile: compile the network when it first sees a size.
    :param offload: see :data:`~vmem_ros.generation.stock.options.Offload`.
    :param max_side: bound on the sides in pixels at which the network works; ``None``: the model's own.
    :param lora: a LoRA adapter in published naming, a safetensors file, times ``lora_scale``. It acts from the second
        round on.
    :param allow_download: fetch a model that is not on this machine.
    :param rounds: fields of :class:`~vmem_ros.generation.wan.rounds.RoundSettings` that differ from the model's own:
        ``first``, ``later`` and ``history`` in frames, ``full``.
    :param max_references: most references; ``None``: the model's own.
    :param prompt: of views for which no other one is given.
    :param prompt_suffix: added to every prompt; ``None``: the model's own.
    :param negative_prompt: what guidance leads away from.
    :param sampling: how noise becomes pictures: :class:`ClipSamplingOptions`, its fields by name, or what has them.
    """

    model: Path | str = SPATIA_MODEL
    dtype: DtypeName = "auto"
    compile: bool = False
    offload: Offload = "none"
    max_side: int | None = None
    lora: Path | str | None = None
    lora_scale: float = 1.0
    allow_download: bool = False
    rounds: Mapping[str, Any] = field(default_factory=dict)
    max_references: int | None = None
    prompt: str = ""
    prompt_suffix: str | None = None
    negative_prompt: str = ""
    sampling: Any = field(default_factory=ClipSamplingOptions)

    def __post_init__(self) -> None:
        for name, allowed in (("dtype", DTYPES), ("offload", OFFLOADS)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        if self.max_references is not None and self.max_references < 0:
            raise ValueError(f"max_references must be at least 0, got {self.max_references}")
        object.__setattr__(self, "sampling", requested(ClipSamplingOptions, self.sampling))
