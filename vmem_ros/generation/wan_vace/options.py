"""Options of the engine ``wan-vace``, without anything that takes long to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from vmem_ros.generation.stock.options import StockOptions, StockSampling, as_fields
from vmem_ros.pretrained.published import VACE_SMALL

_PROMPT = "a camera moves slowly through a still place, a sharp video, nothing moves"


@dataclass(frozen=True, kw_only=True)
class VaceSampling(StockSampling):
    """How noise becomes a clip; ``None``: as the pipeline draws by itself.

    :param control_scale: what the network adds for video and mask is multiplied by.
    :param flow_shift: of the scheduler; ``None``: 3 up to the area of 832 x 480 pixels and 5 above, as published.
    """

    control_scale: float | None = None
    flow_shift: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("control_scale")
        self._check("flow_shift")


@dataclass(frozen=True, kw_only=True)
class VaceOptions(StockOptions):
    """Options of :class:`~vmem_ros.generation.wan_vace.generator.VaceGenerator`.

    :param rounds: fields of :class:`~vmem_ros.generation.wan.rounds.RoundSettings` that differ from clips of 81 frames,
        5 of which go on from the clip before: ``first``, ``later`` and ``history`` in frames, ``full``.
    """

    requests: ClassVar[type[StockSampling]] = VaceSampling

    model: Path | str = VACE_SMALL.repository
    prompt: str = _PROMPT
    min_side: int = 480
    max_side: int = 832
    rounds: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "rounds", as_fields(self.rounds, "rounds"))
