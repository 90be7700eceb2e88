"""Options of the engine ``inpaint``, without anything that takes long to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from vmem_ros.generation.stock.options import StockOptions, StockSampling, as_fields
from vmem_ros.pretrained.published import KLEIN

#: What stands in the holes of the picture that the pipeline is given: what OpenCV continues into them from their
#: border, or a middle grey.
Holes = Literal["continued", "grey"]

_PROMPT = "the same place, completed where it is missing: same materials, same light, a sharp photograph"


@dataclass(frozen=True, kw_only=True)
class InpaintSampling(StockSampling):
    """How noise becomes pictures; ``None``: as the pipeline draws by itself, a distilled one in four steps.

    :param strength: how much of what stands in the holes is replaced by noise before it is drawn anew, 0 to 1.
    """

    strength: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("strength", 1.0)


@dataclass(frozen=True, kw_only=True)
class InpaintOptions(StockOptions):
    """Options of :class:`~vmem_ros.generation.inpaint.generator.InpaintGenerator`.

    :param pipeline: name of the class of diffusers that draws; ``auto``: the one for inpainting that belongs to the
        class that the folder is of.
    :param holes: see :data:`Holes`.
    :param least_hole: cells of the model with a smaller share of unseen pixels are kept as they are continued, which
        closes cracks without drawing the whole picture anew; 0 to 1.
    :param call: further arguments of the pipeline's call by name, such as ``{true_cfg_scale: 4.0}``.
    """

    requests: ClassVar[type[StockSampling]] = InpaintSampling

    model: Path | str = KLEIN.repository
    prompt: str = _PROMPT
    pipeline: str = "auto"
    holes: Holes = "continued"
    least_hole: float = 0.1
    call: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.holes not in get_args(Holes):
            raise ValueError(f"holes must be one of {', '.join(get_args(Holes))}, got {self.holes!r}")
        if not 0 <= self.least_hole <= 1:
            raise ValueError(f"least_hole must be between 0 and 1, got {self.least_hole}")
        object.__setattr__(self, "call", as_fields(self.call, "call"))
