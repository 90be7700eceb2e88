"""What a depth network says about a view, before it is brought to the scale of what is remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.types import Recall, View


@dataclass(frozen=True)
class ScalePrior:
    """How far the scale of a metric predictor is off, before anything remembered is looked at.

    The logarithm of a view's scale error is the sum of a part that all views of a chunk share and one of its own, both
    normal with mean zero.

    :param common: standard deviation of the shared part, e.g. because the network takes this house for a doll's house.
    :param own: standard deviation of what differs from view to view.
    """

    common: float = 0.2
    own: float = 0.1

    def __post_init__(self) -> None:
        if not (self.common >= 0 and self.own > 0):
            raise ValueError(f"common must not be negative and own must be positive, got {self.common} and {self.own}")


@dataclass(frozen=True, eq=False)
class DepthPrediction:
    """Depth of one view as its predictor gives it.

    :param depth: [H, W] float32 z-depth, metres if the predictor is metric; NaN not known, +Inf nothing there (sky).
    :param deviation: [H, W] float32 standard deviation of log depth, apart from the scale of the view.
    :param scale_deviation: standard deviation of the logarithm of this view's scale, where the predictor knows it: of a
        blank wall nobody can tell how far away it is. ``None``: :attr:`ScalePrior.own`.
    """

    depth: Tensor
    deviation: Tensor
    scale_deviation: float | None = None

    def __post_init__(self) -> None:
        if self.depth.ndim != 2 or self.depth.shape != self.deviation.shape:
            raise InvalidImageError(
                f"depth and deviation must be [H, W], got {list(self.depth.shape)} and {list(self.deviation.shape)}"
            )
        object.__setattr__(self, "depth", torch.where(self.depth > 0, self.depth, torch.nan))


class DepthPredictor(Protocol):
    """A depth network behind one call."""

    #: Short name for status and reports.
    name: str
    #: Whether its depth is in metres where memory shows nothing.
    metric: bool
    #: ``None``: the predictor gives inverse depth up to scale and shift, so without memory there is no geometry.
    scale_prior: ScalePrior | None

    def predict(self, views: Sequence[View], recall: Recall) -> list[DepthPrediction]:
        """Return one prediction per view, on the device of ``recall.projections[i].depth``.

        :param recall: ``recall.projections[i]`` belongs to ``views[i]``; predictors may take it as a prompt.
        """
        ...
