"""The geometry of new views from a depth network: predicted, aligned to what is remembered, and joined with it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.pointmaps.alignment import align
from vmem_ros.pointmaps.correction import correction_field
from vmem_ros.pointmaps.edges import is_gap
from vmem_ros.pointmaps.estimators import FILLED_CONFIDENCE
from vmem_ros.pointmaps.fusion import agree
from vmem_ros.pointmaps.prediction import DepthPrediction, DepthPredictor
from vmem_ros.pointmaps.robust import WIDTH, geman_mcclure, spread
from vmem_ros.pointmaps.tearing import torn
from vmem_ros.types import IMAGINED_CONFIDENCE, PointMap, Projection, Recall, View

# Log depths of memory and prediction, bent to it, mean the same surface if they differ by less.
_SAME = 0.03
# Their difference before is never believed to spread less, or more: of what was imagined, and of what a camera saw.
_LEAST_SPREAD, _MOST_SPREAD, _MOST_SPREAD_OBSERVED = 0.01, 0.035, 0.08
# The deviation of log depth at which confidence is one half, and from which a pixel makes no surfel.
_HALF, _UNSURE = 0.1, 0.2


class AlignedDepth:
    """Brings the predictions of a depth network into the scale of the world.

    Where memory shows a surface and the prediction agrees with it, the new view gets memory's depth: what was there
    stays as it is, and is not remembered twice. Where they disagree, memory's surfels stay and the view adds none.
    Elsewhere the view gets the aligned prediction, made to agree with those of the other new views
    (:mod:`~vmem_ros.pointmaps.fusion`) and bent smoothly so that it meets memory at the seams; its confidence says how
    well scale and pixel are known, and where nothing constrains the scale it is :data:`FILLED_CONFIDENCE` at least,
    for the predictor's own scale is the best guess there is.

    Points in gaps between surfaces have confidence 0. A relative predictor has no scale of its own: views that
    nothing remembered ties get no geometry.

    :param max_depth_m: what is farther counts as sky: depth +Inf, no points. ``None``: no limit.
    """

    uses_image = True

    def __init__(self, predictor: DepthPredictor, *, max_depth_m: float | None = None) -> None:
        if max_depth_m is not None and not max_depth_m > 0:
            raise ValueError(f"max_depth_m must be positive or None, got {max_depth_m}")
        self.name = predictor.name
        self.metric = predictor.metric
        self.predictor = predictor
        self.max_depth_m = max_depth_m

    def estimate(self, views: Sequence[View], recall: Recall) -> list[PointMap]:
        """Return one point map per view; ``recall.projections[i]`` belongs to ``views[i]``."""
        if not views:
            return []
        predictions = self.predictor.predict(views, recall)
        cameras, T_world_camera = [view.camera for view in views], torch.stack([view.T_world_camera for view in views])
        alignment = align(predictions, recall.projections, cameras, T_world_camera, prior=self.predictor.scale_prior)
        relative = self.predictor.scale_prior is None
        brought = [DepthPrediction(alignment.apply(i, p.depth), p.deviation) for i, p in enumerate(predictions)]
        agreement = agree(brought, recall.projections, cameras, T_world_camera)
        maps = []
        for i, (view, prediction, projection) in enumerate(zip(views, brought, recall.projections, strict=True)):
            depth = prediction.depth * agreement.correction[i].exp()
            if relative and not alignment.tied[i]:
                depth = torch.full_like(depth, torch.nan)
            confidence = torch.where(agreement.refuted[i], 0.0, self._confidence(prediction, alignment.deviation[i]))
            observed = view.source == "observed"
            if not observed:
                confidence = torch.where(_is_unsure(prediction), 0.0, confidence)
            depth, confidence, same = _join(depth, confidence, projection)
            if observed:
                sheet, moved = torn(depth, view.image, view.camera)
                depth = torch.where(same, depth, sheet)
                confidence = torch.where(moved & ~same, confidence.clamp(max=FILLED_CONFIDENCE), confidence)
            else:
                confidence = torch.where(is_gap(depth, view.camera), 0.0, confidence)
            if self.max_depth_m is not None:
                depth = torch.where(depth > self.max_depth_m, torch.inf, depth)
            shown = torch.where(same, projection.ids.to(same.device), -1)
            maps.append(PointMap.from_depth(depth, confidence, view.camera, view.T_world_camera, shown=shown))
        return maps

    def _confidence(self, prediction: DepthPrediction, deviation: Tensor) -> Tensor:
        variance = prediction.deviation.square() + deviation.to(prediction.deviation).square()
        return (1 / (1 + variance / _HALF**2)).clamp(min=FILLED_CONFIDENCE)


def _is_unsure(prediction: DepthPrediction) -> Tensor:
    """Return [H, W] bool: pixels that are better left to other views; never more than half of a view."""
    median = float(prediction.deviation.nanmedian())
    return prediction.deviation > max(_UNSURE, median)


def _join(depth: Tensor, confidence: Tensor, projection: Projection) -> tuple[Tensor, Tensor, Tensor]:
    """Return depth and confidence of a prediction [H, W] where memory has its say, and where it is memory's depth."""
    remembered = projection.depth.to(depth)
    seen = projection.seen.to(depth.device) & torch.isfinite(remembered)
    difference = remembered.log() - depth.log()
    known = torch.where(seen & torch.isfinite(difference), difference, torch.nan)
    # Imagined memory errs to one side: of surfels that overlap, the nearest is seen. What differs more than most must
    # not bend the prediction, not even a little, or the error would grow from view to view.
    observed = projection.confidence.to(depth) > IMAGINED_CONFIDENCE
    most = torch.where(observed, _MOST_SPREAD_OBSERVED, _MOST_SPREAD)
    typical = spread(known.flatten()).clamp(min=_LEAST_SPREAD).minimum(most)
    weight = torch.where(known.abs() < WIDTH * typical, geman_mcclure(known, typical), 0.0)
    bent = depth * correction_field(difference, weight).exp()
    same = seen & ((remembered.log() - bent.log()).abs() < _SAME)
    confidence = torch.where(seen, 0.0, confidence)
    return torch.where(same, remembered, bent), torch.where(same, 1.0, confidence), same
