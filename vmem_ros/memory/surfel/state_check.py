"""Whether the surfels, pairs and views of a world file fit together: a file is not to be trusted."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.memory.surfel.surfels import SurfelCloud

# Poses end at 1e9 m, depth at 10 km; the widest lens makes surfels less than 100 km wide of that.
_FARTHEST_M, _WIDEST_M = 1e10, 1e6
# Of a normal, beyond rounding.
_LONGEST = 1.01


def check_index(
    cloud: SurfelCloud, surfel: Tensor, offset: Tensor, born: list[int], origin: Tensor, views: int
) -> None:
    """Raise :class:`WorldFileError` unless surfels, pairs and views fit together."""
    n = len(cloud)
    problems = {
        "surfel columns differ in length": any(len(column) != n for column in vars(cloud).values()),
        "surfels are not finite": not all(
            bool(torch.isfinite(c.float()).all()) for c in (*vars(cloud).values(), origin)
        ),
        "surfel radii are not positive": not bool((cloud.radius > 0).all()),
        f"surfels are wider than {_WIDEST_M:g} m": bool((cloud.radius > _WIDEST_M).any()),
        f"surfels are farther than {_FARTHEST_M:g} m": any(
            bool((place.abs() > _FARTHEST_M).any()) for place in (cloud.position, origin)
        ),
        "normals are longer than 1": bool((torch.linalg.vector_norm(cloud.normal.float(), dim=-1) > _LONGEST).any()),
        "provenance is not within 0 and 1": not bool(((cloud.provenance >= 0) & (cloud.provenance <= 1)).all()),
        "the origin is no point": len(origin) != 3,
        "view counts differ": len(offset) != views + 1 or len(born) != views + 1,
        "pairs are not grouped by view": not _is_grouped(surfel, offset),
        "pairs name surfels that do not exist": bool(((surfel < 0) | (surfel >= n)).any()),
        "surfel counts per view do not add up": not born or born[0] < 0 or born[-1] != n or sorted(born) != born,
    }
    if not any(problems.values()):
        problems["pairs name surfels of later views"] = _is_early(surfel, offset, born[1:])
    _raise_if_any(problems)


def check_evidence(through: Tensor, offset: Tensor, by_camera: Tensor, born: list[int]) -> None:
    """Raise :class:`WorldFileError` unless what views looked through fits the views and the surfels before them."""
    views = len(born) - 1
    problems = {
        "evidence is not of all views": len(offset) != views + 1 or len(by_camera) != views,
        "evidence is not grouped by view": not _is_grouped(through, offset),
        "evidence names surfels that do not exist": bool(((through < 0) | (through >= born[-1])).any()),
    }
    if not any(problems.values()):
        problems["evidence names surfels of later views"] = _is_early(through, offset, born[:-1])
    _raise_if_any(problems)


def _is_grouped(surfel: Tensor, offset: Tensor) -> bool:
    """Return whether pairs are grouped by view: offsets begin at 0, never fall and end at the number of pairs."""
    if not offset.numel():
        return False
    return int(offset[0]) == 0 and int(offset[-1]) == len(surfel) and not bool((offset.diff() < 0).any())


def _is_early(surfel: Tensor, offset: Tensor, known: list[int]) -> bool:
    """Return whether some view has pairs with surfels beyond those it may know, ``known`` of each view."""
    return bool((surfel >= torch.tensor(known, device=surfel.device).repeat_interleave(offset.diff())).any())


def _raise_if_any(problems: dict[str, bool]) -> None:
    wrong = [text for text, is_wrong in problems.items() if is_wrong]
    if wrong:
        raise WorldFileError(f"the world file is inconsistent: {'; '.join(wrong)}")
