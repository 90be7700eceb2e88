"""What a training of the depth network is: the fields of ``config/training/depth.yaml``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vmem_ros.training.recipes import Data, Optimisation, Reporting


@dataclass(frozen=True, kw_only=True)
class DepthRecipe:
    """``vmem train depth``: pictures, and what memory shows of their depth, to depth with its uncertainty.

    :param network: fields of :class:`~vmem_ros.pointmaps.depth_network.DepthNetwork`.
    :param prompted: share of the samples that are told what memory shows; the others must do with the picture.
    :param prompt_scale: deviation of the log scale by which a prompt and the wanted depth differ from the truth: a
        world that was begun with a wrong scale goes on with it.
    :param imperfect: share of the pictures that are softened as generated ones are.
    :param crop: share of the batches that are cut to a random height or width of at least half.
    :param edges: weight of errors of the differences of log depth between neighbours, at three scales.
    """

    seed: int = 0
    network: dict[str, Any] = field(default_factory=dict)
    prompted: float = 0.5
    prompt_scale: float = 0.1
    imperfect: float = 0.3
    crop: float = 0.3
    edges: float = 1.0
    optimisation: Optimisation
    data: Data = field(default_factory=Data)
    reporting: Reporting = field(default_factory=Reporting)

    def __post_init__(self) -> None:
        if min(self.seed, self.prompt_scale, self.edges) < 0:
            raise ValueError(
                f"seed, prompt_scale and edges must not be negative, got {self.seed}, {self.prompt_scale:g} and "
                f"{self.edges:g}"
            )
        for name in ("prompted", "imperfect", "crop"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, got {getattr(self, name):g}")
