"""Depth that came with the views, because the generator drew it: a prediction like that of any network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vmem_ros.pointmaps.prediction import DepthPrediction, ScalePrior
from vmem_ros.types import Recall, View

# Generators do not say how sure they are.
_DEVIATION = 0.1
# The scale of the recall, or one of the generator's own: off by a factor of three, or by anything that memory says.
_ANY_SCALE = ScalePrior(common=1.0, own=0.2)


class GivenDepth:
    """Takes the depth of each view for its prediction; see :class:`~vmem_ros.pointmaps.AlignedDepth`.

    :param scale_prior: how well the generator knows the scale; ``None``: it gives inverse depth up to scale and shift.
    """

    name = "generator"
    metric = False

    def __init__(self, scale_prior: ScalePrior | None = _ANY_SCALE) -> None:
        self.scale_prior = scale_prior

    def predict(self, views: Sequence[View], recall: Recall) -> list[DepthPrediction]:
        """Return one prediction per view.

        :raises ValueError: a view has no depth.
        """
        predictions = []
        for view in views:
            if view.depth is None:
                raise ValueError("a view has no depth: only generators that draw depth can be believed")
            predictions.append(DepthPrediction(view.depth, torch.full_like(view.depth, _DEVIATION)))
        return predictions
