"""Options of the engine ``mirage``, without anything that takes long to import."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from vmem_ros.generation.wan.options import SpatiaOptions
from vmem_ros.pretrained.shipped import MIRAGE_MODEL

#: How the network is told where memory shows something. ``mask``: 1 in cells where it shows nothing, 0 where it shows a
#: latent. ``constant``: always the encoding of white pictures, as in the code published with the paper.
Visibility = Literal["mask", "constant"]


@dataclass(frozen=True, kw_only=True)
class MirageOptions(SpatiaOptions):
    """Options of :class:`~vmem_ros.generation.mirage.generator.MirageGenerator`: those of the engine ``spatia``, and
    some more. Rounds go on from one latent frame, so their ``history`` is 1.

    :param preceding: latent frames before the one that a round goes on from, which the network sees, too.
    :param visibility: see :data:`Visibility`; what the model was trained with.
    """

    model: Path | str = MIRAGE_MODEL
    preceding: int = 2
    visibility: Visibility = "mask"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.preceding < 0:
            raise ValueError(f"preceding must be at least 0, got {self.preceding}")
        if self.visibility not in get_args(Visibility):
            raise ValueError(f"visibility must be one of {', '.join(get_args(Visibility))}, got {self.visibility!r}")
