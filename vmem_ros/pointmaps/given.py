"""Depth that came with the views, because the generator drew it: a prediction like that of any network."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vmem_ros.pointmaps.prediction import DepthPrediction, ScalePrior
from vmem_ros.types import Recall, View

# Generators do not say how sure they are.
_DEVIATION = 0.1


class GivenDepth:
    """Takes the depth of each view for its prediction; see :class:`~vmem_ros.pointmaps.AlignedDepth`."""

    name = "generator"
    scale_prior: ScalePrior | None = ScalePrior()

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
