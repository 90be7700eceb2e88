"""From the name of an estimator to one that is ready: the one place where ``geometry.estimator`` is understood."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import torch

from vmem_ros.errors import ModelError
from vmem_ros.pointmaps.aligned import AlignedDepth
from vmem_ros.pointmaps.estimators import MemoryDepth
from vmem_ros.pointmaps.prediction import DepthPredictor
from vmem_ros.protocols import PointMapEstimator

EstimatorName = Literal["memory", "small", "huggingface", "cut3r"]
#: Where the geometry of views without depth comes from. (Views with depth keep it, whatever is chosen.)
ESTIMATORS = get_args(EstimatorName)


def load_estimator(
    name: str = "memory",
    *,
    model: Path | str | None = None,
    device: torch.device | str = "cpu",
    max_depth_m: float | None = None,
    allow_download: bool = False,
) -> PointMapEstimator:
    """Return an estimator, its model loaded.

    - ``memory``: memory's own depth, its holes filled; needs nothing.
    - ``small``: the depth network of the package, or one that ``vmem train depth`` made.
    - ``huggingface``: a model of transformers.
    - ``cut3r``: the user's own installation of CUT3R.

    :param model: folder, repository or checkpoint; ``None``: the estimator's own.
    :param max_depth_m: what is farther counts as sky; not for ``memory``.
    :raises ModelError: an unknown name, or a model or package that is missing.
    """
    if name == "memory":
        return MemoryDepth()
    return AlignedDepth(_predictor(name, model, device, allow_download=allow_download), max_depth_m=max_depth_m)


def _predictor(
    name: str, model: Path | str | None, device: torch.device | str, *, allow_download: bool
) -> DepthPredictor:
    # What a predictor needs is imported when it is chosen.
    if name == "small":
        from vmem_ros.pointmaps.small import SmallDepth

        return SmallDepth.from_pretrained(model, device=device)
    if name == "huggingface":
        from vmem_ros.pointmaps.huggingface import DEFAULT_MODEL, HuggingFaceDepth

        return HuggingFaceDepth.from_pretrained(model or DEFAULT_MODEL, device=device, allow_download=allow_download)
    if name == "cut3r":
        from vmem_ros.pointmaps.cut3r import Cut3rDepth

        return Cut3rDepth.from_installation(model or "", device=device)
    raise ModelError(f"geometry.estimator = {name!r} is unknown: use {', '.join(ESTIMATORS)}")
