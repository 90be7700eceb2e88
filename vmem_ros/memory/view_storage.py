"""Views as named tensors and back, with every entry checked: a file is not to be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from vmem_ros.errors import VmemError, WorldFileError
from vmem_ros.geometry import Camera
from vmem_ros.types import PointMap, View

_Item = TypeVar("_Item", View, PointMap)
_MAPS = ("image", "depth", "confidence", "latent", "embedding")


def view_maps(view: View) -> dict[str, Tensor]:
    """Return the tensors of a view that live on the memory's device, by field name, without those that are not set."""
    return {name: value for name in _MAPS if (value := getattr(view, name)) is not None}


def to_device(item: _Item, device: torch.device) -> _Item:
    """Return a view or a point map with its pixels on ``device``; camera and pose stay on the CPU.

    Pixels are copied even where they are: a driver may fill the same buffer with its next frame.
    """
    names = _MAPS if isinstance(item, View) else ("points", "confidence", "shown")
    tensors: dict[str, Any] = {n: t.to(device, copy=True) for n in names if (t := getattr(item, n)) is not None}
    return replace(item, **tensors)


def pack_views(views: Sequence[View]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Return the tensors of all views, named ``views/<number>/<field>``, and one JSON-able entry a view."""
    tensors: dict[str, Tensor] = {}
    metadata = []
    for number, view in enumerate(views):
        tensors |= {f"views/{number}/{name}": value for name, value in view_maps(view).items()}
        tensors[f"views/{number}/K"] = view.camera.K
        tensors[f"views/{number}/T_world_camera"] = view.T_world_camera
        size = {"width": view.camera.width, "height": view.camera.height}
        metadata.append({**size, "stamp_ns": view.stamp_ns, "source": view.source})
    return tensors, metadata


def unpack_views(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], device: torch.device) -> list[View]:
    """Return the views that :func:`pack_views` packed.

    :raises WorldFileError: an entry is missing or makes no valid view.
    """
    views = []
    try:
        for number, entry in enumerate(metadata["views"]):
            maps = {n: t.to(device) for n in _MAPS if (t := tensors.get(f"views/{number}/{n}")) is not None}
            if missing := {"image", "depth", "confidence"} - maps.keys():
                raise WorldFileError(f"view {number} has no {' and no '.join(sorted(missing))}")
            camera = Camera(tensors[f"views/{number}/K"], entry["width"], entry["height"])
            if entry["source"] not in ("observed", "generated"):
                raise WorldFileError(f"view {number} has the unknown source {entry['source']!r}")
            views.append(
                View(
                    camera=camera,
                    T_world_camera=tensors[f"views/{number}/T_world_camera"],
                    stamp_ns=int(entry["stamp_ns"]),
                    source=entry["source"],
                    **maps,
                )
            )
    except WorldFileError:
        raise
    except (KeyError, TypeError, ValueError, OverflowError, VmemError) as error:
        raise WorldFileError(f"the world file holds no valid view {len(views)}: {error!r}") from error
    return views


def take(tensors: Mapping[str, Tensor], name: str, *, like: Tensor, device: torch.device | str = "cpu") -> Tensor:
    """Return a tensor of the file that has the dtype and the row shape of ``like``.

    :raises WorldFileError: it is missing or of another kind.
    """
    value = tensors.get(name)
    if value is None:
        raise WorldFileError(f"the world file has no entry {name!r}")
    if value.dtype != like.dtype or value.shape[1:] != like.shape[1:] or value.ndim != like.ndim:
        raise WorldFileError(
            f"entry {name!r} is {value.dtype} {list(value.shape)}, expected {like.dtype} [n, "
            f"{', '.join(map(str, like.shape[1:]))}]"
        )
    return value.to(device)
