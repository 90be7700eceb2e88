"""Stored views as the compiled kernels take them: ``src/kernels/views.hpp``."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Array, Structure, c_float, c_int64, c_void_p

import torch
from torch import Tensor

from vmem_ros.kernels.library import address
from vmem_ros.memory.other_view import OtherView

_Twelve, _Three = c_float * 12, c_float * 3


class EachView(Structure):
    """A view, and how pixels of a target get into it; valid as long as its tensors are."""

    _fields_ = [
        ("image", c_void_p),
        ("depth", c_void_p),
        ("confidence", c_void_p),
        ("width", c_int64),
        ("height", c_int64),
        ("observed", c_int64),
        ("projection", _Twelve),
        ("centre", _Three),
        ("gain", _Three),
        ("weight", c_float),
    ]


def views_of(asked: Sequence[OtherView]) -> tuple[Array[EachView], list[Tensor]]:
    """Return the views, and the tensors that must live until the kernel is done."""
    alive: list[Tensor] = []
    views = (EachView * len(asked))()
    for entry, each in zip(views, asked, strict=True):
        view = each.view
        assert view.depth is not None, "only views with depth can be asked"
        maps = [view.image.contiguous(), view.depth.contiguous()]
        confidence = None if view.confidence is None else view.confidence.contiguous()
        alive += maps if confidence is None else [*maps, confidence]
        entry.image, entry.depth = address(maps[0], torch.uint8), address(maps[1], torch.float32)
        entry.confidence = address(confidence, torch.float32)
        entry.width, entry.height = view.camera.width, view.camera.height
        entry.observed = view.source == "observed"
        first, second, third = each.projection
        entry.projection = _Twelve(*first, *second, *third)
        entry.centre = _Three(*each.centre)
        entry.gain = _Three(*each.gain)
        entry.weight = each.weight
    return views, alive
