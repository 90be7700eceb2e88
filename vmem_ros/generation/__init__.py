"""New views from remembered ones.

``MultiviewUNet``, ``VMemPipeline`` and ``VMemGenerator`` stand on diffusers, whose import takes seconds: they are
imported when they are first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vmem_ros.generation.composition import composite_remembered, feather
from vmem_ros.generation.reprojection import ReprojectionGenerator

if TYPE_CHECKING:
    from vmem_ros.generation.vmem.generator import VMemGenerator
    from vmem_ros.generation.vmem.network import MultiviewUNet
    from vmem_ros.generation.vmem.pipeline import VMemPipeline

_LAZY = {
    "MultiviewUNet": "vmem_ros.generation.vmem.network",
    "VMemPipeline": "vmem_ros.generation.vmem.pipeline",
    "VMemGenerator": "vmem_ros.generation.vmem.generator",
}

__all__ = [
    "MultiviewUNet",
    "ReprojectionGenerator",
    "VMemGenerator",
    "VMemPipeline",
    "composite_remembered",
    "feather",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
