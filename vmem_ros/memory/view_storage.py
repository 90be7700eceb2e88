"""Views as named tensors and back, with every entry checked: a file is not to be trusted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from vmem_ros.errors import VmemError, WorldFileError
from vmem_ros.geometry import Camera
from vmem_ros.types import MAPS, View

# Numbers that a memory keeps: at most 30 for each pixel of its views are in use, and none beside.
_ENTRIES_PER_PIXEL, _ENTRIES_BESIDE = 256, 2**24
_ENCODING = re.compile(r"(views|changes_of_views)/\d+/(latent|embedding)")


def pack_views(views: Sequence[View]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Return the tensors of all views, named ``views/<number>/<field>``, and one JSON-able entry a view."""
    tensors: dict[str, Tensor] = {}
    metadata = []
    for number, view in enumerate(views):
        tensors |= {f"views/{number}/{name}": value for name, value in view.maps.items()}
        tensors[f"views/{number}/K"] = view.camera.K
        tensors[f"views/{number}/T_world_camera"] = view.T_world_camera
        size = {"width": view.camera.width, "height": view.camera.height}
        metadata.append({**size, "stamp_ns": view.stamp_ns, "source": view.source})
    return tensors, metadata


def without_encodings(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return packed views without latents and embeddings, which are made anew where they are needed."""
    return {name: value for name, value in tensors.items() if not _ENCODING.fullmatch(name)}


def check_shapes(shapes: Mapping[str, Sequence[int]], metadata: Mapping[str, Any]) -> None:
    """Raise :class:`WorldFileError` unless a file may hold these views, and not much more, as its header says.

    The sizes of views are known before any is read, and what a memory keeps beside them grows with their pixels: a
    file far beyond that is none, and need not be read to be refused. Only edits add clouds of any size.

    :param shapes: of all tensors, by name.
    """
    try:
        sizes = [(int(entry["height"]), int(entry["width"])) for entry in metadata["views"]]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise WorldFileError(f"the world file holds no valid list of views: {error!r}") from error
    for number, size in enumerate(sizes):
        if (found := tuple(shapes.get(f"views/{number}/image", ()))) != (*size, 3):
            raise WorldFileError(f"view {number} has an image of shape {list(found)}, expected {[*size, 3]}")
    if math.prod(shapes.get("edits/added", (0,))):
        return
    most = _ENTRIES_BESIDE + _ENTRIES_PER_PIXEL * sum(height * width for height, width in sizes)
    if (found_entries := sum(math.prod(shape) for shape in shapes.values())) > most:
        raise WorldFileError(
            f"the world file has {found_entries:.3g} numbers for {len(sizes)} views, of which no memory keeps more "
            f"than {most:.3g}"
        )


def unpack_views(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], device: torch.device) -> list[View]:
    """Return the views that :func:`pack_views` packed.

    :raises WorldFileError: an entry is missing or makes no valid view.
    """
    views = []
    try:
        for number, entry in enumerate(metadata["views"]):
            maps = {n: t.to(device) for n in MAPS if (t := tensors.get(f"views/{number}/{n}")) is not None}
            if missing := {"image", "depth", "confidence"} - maps.keys():
                raise WorldFileError(f"view {number} has no {' and no '.join(sorted(missing))}")
            camera = Camera(tensors[f"views/{number}/K"], entry["width"], entry["height"])
            if entry["source"] not in ("observed", "generated"):
                raise WorldFileError(f"view {number} has the unknown source {entry['source']!r}")
            if not bool(((maps["confidence"] >= 0) & (maps["confidence"] <= 1)).all()):
                raise WorldFileError(f"view {number} has a confidence that is not within 0 and 1")
            if (pose := tensors[f"views/{number}/T_world_camera"]).shape != (4, 4):
                raise WorldFileError(f"view {number} has a pose of shape {list(pose.shape)}, expected [4, 4]")
            views.append(
                View(
                    camera=camera,
                    T_world_camera=pose,
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
