"""Estimators from their options; the modules of networks are imported when one is asked for."""

from __future__ import annotations

import torch

from vmem_ros.pointmaps.aligned import AlignedDepth
from vmem_ros.pointmaps.estimators import MemoryDepth
from vmem_ros.pointmaps.options import (
    HuggingFaceDepthOptions,
    MemoryDepthOptions,
    NetworkDepthOptions,
    SmallDepthOptions,
)


def memory_depth(options: MemoryDepthOptions, *, device: torch.device) -> MemoryDepth:
    """Return memory's own depth, which is wherever the memory is."""
    return MemoryDepth(options)


def small(options: SmallDepthOptions, *, device: torch.device) -> AlignedDepth:
    """Return the depth network of the package, or of a folder."""
    from vmem_ros.pointmaps.small import SmallDepth

    predictor = SmallDepth.from_pretrained(options.model, device=device, scene=options.scene)
    return AlignedDepth(predictor, max_depth_m=options.max_depth_m)


def huggingface(options: HuggingFaceDepthOptions, *, device: torch.device) -> AlignedDepth:
    """Return a depth model of transformers."""
    from vmem_ros.pointmaps.huggingface import DEFAULT_MODEL, HuggingFaceDepth

    predictor = HuggingFaceDepth.from_pretrained(
        options.model or DEFAULT_MODEL, device=device, allow_download=options.allow_download
    )
    return AlignedDepth(predictor, max_depth_m=options.max_depth_m)


def cut3r(options: NetworkDepthOptions, *, device: torch.device) -> AlignedDepth:
    """Return CUT3R of the user's own installation."""
    from vmem_ros.pointmaps.cut3r import Cut3rDepth

    predictor = Cut3rDepth.from_installation(options.model or "", device=device)
    return AlignedDepth(predictor, max_depth_m=options.max_depth_m)
