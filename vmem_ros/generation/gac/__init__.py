"""Geometry-as-Context (GaC): pictures and their depth in one sequence, each drawn from all before it.

``GacTransformer``, ``GacPipeline`` and ``GacGenerator`` stand on diffusers, whose import takes seconds: they are
imported when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vmem_ros.generation.gac.attention import CameraGatedAttention
from vmem_ros.generation.gac.depth_code import DepthCode

if TYPE_CHECKING:
    from vmem_ros.generation.gac.generator import GacGenerator
    from vmem_ros.generation.gac.network import GacTransformer
    from vmem_ros.generation.gac.pipeline import GacPipeline

_LAZY = {
    "GacTransformer": "vmem_ros.generation.gac.network",
    "GacPipeline": "vmem_ros.generation.gac.pipeline",
    "GacGenerator": "vmem_ros.generation.gac.generator",
}

__all__ = ["CameraGatedAttention", "DepthCode", "GacGenerator", "GacPipeline", "GacTransformer"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
