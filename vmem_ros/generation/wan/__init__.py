"""The video network with a scene branch (Spatia, Mirage), its pipeline, published weights and adapters.

Everything here stands on diffusers, whose import takes seconds: names are imported when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vmem_ros.generation.wan.generator import SpatiaGenerator
    from vmem_ros.generation.wan.network import SceneWanTransformer3DModel
    from vmem_ros.generation.wan.pipeline import SceneWanPipeline

_LAZY = {
    "SceneWanPipeline": "vmem_ros.generation.wan.pipeline",
    "SceneWanTransformer3DModel": "vmem_ros.generation.wan.network",
    "SpatiaGenerator": "vmem_ros.generation.wan.generator",
}

__all__ = ["SceneWanPipeline", "SceneWanTransformer3DModel", "SpatiaGenerator"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
