"""From the name of an estimator to one that is ready: the one place where ``geometry.estimator`` is understood."""

from __future__ import annotations

from typing import Any

import torch

from vmem_ros.pretrained.devices import usable_device
from vmem_ros.pretrained.factories import Entry, make
from vmem_ros.protocols import PointMapEstimator

DEFAULT_ESTIMATOR = "memory"

#: Where the geometry of views without depth comes from, by name: memory's own depth, the depth network of the package,
#: a model of transformers, and the user's own installation of CUT3R. (Views with depth keep it, whatever is chosen.)
ESTIMATORS = {
    "memory": Entry("vmem_ros.pointmaps.loading:memory_depth", "vmem_ros.pointmaps.options:MemoryDepthOptions"),
    "small": Entry("vmem_ros.pointmaps.loading:small", "vmem_ros.pointmaps.options:SmallDepthOptions"),
    "huggingface": Entry(
        "vmem_ros.pointmaps.loading:huggingface", "vmem_ros.pointmaps.options:HuggingFaceDepthOptions"
    ),
    "cut3r": Entry("vmem_ros.pointmaps.loading:cut3r", "vmem_ros.pointmaps.options:NetworkDepthOptions"),
}


def load_estimator(
    name: str = DEFAULT_ESTIMATOR, *, device: torch.device | str = "cpu", **options: Any
) -> PointMapEstimator:
    """Return an estimator, its model loaded.

    :param name: one of :data:`ESTIMATORS`, or ``module:factory`` of your own, where ``factory(device=..., **options)``
        returns a :class:`vmem_ros.protocols.PointMapEstimator`.
    :param device: where its model works; see :func:`~vmem_ros.pretrained.devices.usable_device`.
    :param options: fields of the options of this estimator (:mod:`vmem_ros.pointmaps.options`).
    :raises ModelError: an unknown name or device, an option that the estimator does not have or that is out of range,
        or a model or package that is missing.
    """
    estimator: PointMapEstimator = make(
        ESTIMATORS, name, what="geometry.estimator", arguments={"device": usable_device(device)}, options=options
    )
    return estimator
