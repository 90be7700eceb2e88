"""Whether the voxels, pairs, changes and views of a world file fit together: a file is not to be trusted."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.memory.points.grid import KEYS
from vmem_ros.memory.points.voxels import MOST, MOST_OF_A_VIEW, STEPS

# Of a corner of the grid, in voxels.
_FARTHEST = 1 << 52
# Depth ends at 10 km, and the widest lens makes points less than 100 km wide of that.
_WIDEST_M = 1e6


def check_index(tensors: Mapping[str, Tensor], views: int, voxel: float) -> None:
    """Raise :class:`WorldFileError` unless the entries of a :class:`~vmem_ros.memory.points.index.PointIndex` fit.

    :param tensors: with the right types and row shapes, but of any length and content.
    :param voxel: side of the voxels that are wanted.
    """
    key, sums, size, observed = (tensors[f"points/{name}"] for name in ("key", "sums", "size", "observed"))
    point, offset = tensors["observations/point"], tensors["observations/offset"]
    changes, change_offset = tensors["changes/rows"], tensors["changes/offset"]
    born, anchor, side = tensors["views/born"], tensors["grid/anchor"], tensors["grid/voxel"]
    n = len(key)
    problems = {
        "the grid is none": len(anchor) != 3
        or len(side) != 1
        or bool(((anchor < -_FARTHEST) | (anchor > _FARTHEST)).any()),
        "columns of points differ in length": any(len(column) != n for column in (sums, size, observed)),
        "points lie outside the grid": bool(((key < 0) | (key >= KEYS)).any()),
        "sums of points are out of range": not _are_sums(sums),
        f"sizes of points are not between a voxel and {_WIDEST_M:g} m": not _are_sizes(size, voxel),
        "view counts differ": len(born) != views + 1,
        "pairs are not grouped by view": not _groups(offset, views, len(point)),
        "pairs name points that do not exist": bool(((point < 0) | (point >= n)).any()),
        "changes are not grouped by view": not _groups(change_offset, views, len(changes)),
        "changed sums are out of range": not _are_sums(changes[:, 1:8]),
        "changed sizes are out of range": not _are_sizes(changes[:, 8].contiguous().view(torch.float32), voxel),
        "point counts per view do not add up": not len(born)
        or int(born[0]) < 0
        or int(born[-1]) != n
        or bool((born.diff() < 0).any()),
    }
    if not any(problems.values()):
        problems = {
            f"its voxels are {float(side):g} m wide and those of this memory {voxel:g} m: make the memory with "
            f"voxel = {float(side):g} (node: memory.options, command line: --memory-option)": float(side) != voxel,
            "pairs name points of later views": not _are_below(point, offset, born[1:]),
            "changes name points of later views": not _are_below(changes[:, 0], change_offset, born[:-1])
            or bool((changes[:, 0] < 0).any()),
        }
    if not any(problems.values()):
        changed = changes[:, 0].long()
        view = torch.repeat_interleave(change_offset.diff())
        problems = {
            "imagined points were changed": not bool(observed[changed].all()),
            "a view changed a point twice": len(torch.stack([view, changed]).unique(dim=1)[0]) != len(changed),
        }
    if wrong := [text for text, is_wrong in problems.items() if is_wrong]:
        raise WorldFileError(f"the world file is inconsistent: {'; '.join(wrong)}")


def check_edited(tensors: Mapping[str, Tensor], removed: Tensor, added: Tensor) -> None:
    """Raise :class:`WorldFileError` unless every voxel that views meet is the only one of its kind in its cell.

    :param tensors: that :func:`check_index` has checked.
    :param removed: [m] int64 numbers of points that were removed by hand, and ``added`` [k] of those that were added.
    """
    key, observed = tensors["points/key"], tensors["points/observed"]
    met = torch.ones_like(observed)
    met[removed] = False
    met[added] = False
    kinds = torch.stack([key, observed.long()])[:, met]
    if len(kinds.unique(dim=1)[0]) != kinds.shape[1]:
        raise WorldFileError("the world file is inconsistent: two points lie in one voxel")
    if bool(torch.isin(tensors["changes/rows"][:, 0].long(), added).any()):
        raise WorldFileError("the world file is inconsistent: views changed points that were added by hand")


def _are_sums(sums: Tensor) -> bool:
    count = sums[:, 6].long()
    places, colors = sums[:, :3].long(), sums[:, 3:6].long()
    inside = (places >= 0) & (places <= (STEPS - 1) * count[:, None])
    inside &= (colors >= 0) & (colors <= 255 * count[:, None])
    return bool(((count > 0) & (count <= MOST + MOST_OF_A_VIEW) & inside.all(dim=1)).all())


def _are_sizes(size: Tensor, voxel: float) -> bool:
    # Sizes are 32 bits wide.
    return bool(((size >= torch.tensor(voxel, dtype=torch.float32).to(size)) & (size <= _WIDEST_M)).all())


def _groups(offset: Tensor, views: int, length: int) -> bool:
    """Return whether ``offset`` [views + 1] divides so many rows into groups."""
    return (
        len(offset) == views + 1
        and int(offset[0]) == 0
        and int(offset[-1]) == length
        and not bool((offset.diff() < 0).any())
    )


def _are_below(index: Tensor, offset: Tensor, limit: Tensor) -> bool:
    """Return whether the numbers of each group are below the group's limit."""
    return bool((index < limit.to(index.device).repeat_interleave(offset.diff())).all())
