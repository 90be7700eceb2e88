"""The options of estimators: one dataclass each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from vmem_ros.geometry.posed_points import Direction, upright_rotation
from vmem_ros.geometry.room import UP

#: What is believed of surfaces that nobody saw: nothing, or that they are the floor, ceiling and walls of a room.
GeometryPrior = Literal["none", "room"]

#: What pictures show: rooms; the open air; or what the first of them looks like.
Scene = Literal["indoors", "outdoors", "auto"]


@dataclass(frozen=True, kw_only=True)
class MemoryDepthOptions:
    """Options of :class:`~vmem_ros.pointmaps.MemoryDepth`.

    :param prior: what holes of memory get: ``none``, no depth; ``room``, that of the room around them, where it is one.
    :param up: which way is up in the world, for ``room``; ``None``: nobody knows, and nothing is taken for a room.
    """

    prior: GeometryPrior = "none"
    up: Direction | None = UP

    def __post_init__(self) -> None:
        if self.prior not in get_args(GeometryPrior):
            raise ValueError(f"prior must be one of {', '.join(get_args(GeometryPrior))}, got {self.prior!r}")
        if self.up is not None:
            upright_rotation(self.up)  # raises ValueError


@dataclass(frozen=True, kw_only=True)
class NetworkDepthOptions:
    """Options of estimators with a network.

    :param model: folder, repository or checkpoint; ``None``: the estimator's own.
    :param max_depth_m: what is farther counts as sky: depth +Inf, no points. ``None``: no limit.
    """

    model: Path | str | None = None
    max_depth_m: float | None = None


@dataclass(frozen=True, kw_only=True)
class SmallDepthOptions(NetworkDepthOptions):
    """Options of the depth network of the package, which knows rooms.

    :param scene: what pictures show; ``auto``: the open air if the first one has sky, by its colours. Plain walls look
        like sky, too.
    """

    scene: Scene = "indoors"

    def __post_init__(self) -> None:
        if self.scene not in get_args(Scene):
            raise ValueError(f"scene must be one of {', '.join(get_args(Scene))}, got {self.scene!r}")


@dataclass(frozen=True, kw_only=True)
class HuggingFaceDepthOptions(NetworkDepthOptions):
    """Options of the models of transformers.

    :param allow_download: fetch what is not on this machine yet.
    """

    allow_download: bool = False
