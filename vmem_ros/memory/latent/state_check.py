"""Whether the samples, voxels, tokens and views of a world file fit together: a file is not to be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.memory.latent.cells import HIGHEST_LEVEL, KEYS, LOWEST_LEVEL

# Depth ends at 10 km, and the widest lens sees less than 1,000 km to the side; nobody walks farther from there.
_FARTHEST_M, _LARGEST_M = 1e9, 1e6


def check_index(tensors: Mapping[str, Tensor], views: int, latents: Sequence[Tensor | None], voxel: float) -> None:
    """Raise :class:`WorldFileError` unless the entries of a :class:`~vmem_ros.memory.latent.index.LatentIndex` fit.

    :param tensors: with the right types and row shapes, but of any length and content.
    :param latents: of each of the views; not checked either.
    :param voxel: side of the voxels that are wanted.
    """
    position, size, level, own = (tensors[f"samples/{n}"] for n in ("position", "size", "level", "voxel"))
    key, side, born, origin = (tensors[n] for n in ("voxels/key", "voxels/side", "views/born", "origin"))
    seen, offset = tensors["observations/voxel"], tensors["observations/offset"]
    place, cell, tokens = tensors["tokens/position"], tensors["tokens/cell"], tensors["tokens/offset"]
    channels = tensors["tokens/channels"]
    n, m = len(position), len(key)
    others = [size, level, own, tensors["samples/color"], tensors["samples/observed"]]
    problems = {
        "the origin is none": origin.shape != (3,) or not _are_within(origin, _FARTHEST_M),
        "columns of samples differ in length": any(len(column) != n for column in others),
        "samples lie nowhere": not _are_within(position, _FARTHEST_M),
        "sizes of samples are out of range": not bool(((size > 0) & (size <= _LARGEST_M)).all()),
        "levels of samples are out of range": not bool(((level >= LOWEST_LEVEL) & (level <= HIGHEST_LEVEL)).all()),
        "samples name voxels that do not exist": bool(((own < 0) | (own >= m)).any()),
        "voxels lie outside the grid": bool(((key < 0) | (key >= KEYS)).any()),
        "the size of voxels is none": len(side) != 1,
        "view counts differ": len(born) != views + 1 or len(channels) != views,
        "pairs are not grouped by view": not _groups(offset, views, len(seen)),
        "pairs name voxels that do not exist": bool(((seen < 0) | (seen >= m)).any()),
        "latents are not grouped by view": not _groups(tokens, views, len(cell)) or len(place) != len(cell),
        "latents lie nowhere": not _are_within(place, _FARTHEST_M),
        "samples and voxels per view do not add up": not len(born)
        or born[0].tolist() != [0, 0]
        or born[-1].tolist() != [n, m]
        or bool((born.diff(dim=0) < 0).any()),
    }
    if not any(problems.values()):
        samples, voxels = born[:, 0].to(own.device), born[:, 1].to(own.device)
        problems = {
            f"its voxels are {float(side):g} m wide and those of this memory {voxel:g} m: make the memory with "
            f"voxel = {float(side):g} (node: memory.options, command line: --memory-option)": float(side) != voxel,
            "two voxels are the same": len(key.unique()) != m,
            "samples lie in voxels of later views": bool((own >= voxels[1:].repeat_interleave(samples.diff())).any()),
            "pairs name voxels of later views": bool((seen >= voxels[1:].repeat_interleave(offset.diff())).any()),
            "latents are of cells that views do not have": not _have_cells(cell, tokens, channels, latents),
        }
    if wrong := [text for text, is_wrong in problems.items() if is_wrong]:
        raise WorldFileError(f"the world file is inconsistent: {'; '.join(wrong)}")


def _are_within(values: Tensor, most: float) -> bool:
    # NaN is not.
    return bool((values.abs() <= most).all())


def _groups(offset: Tensor, views: int, length: int) -> bool:
    """Return whether ``offset`` [views + 1] divides so many rows into groups."""
    return (
        len(offset) == views + 1
        and int(offset[0]) == 0
        and int(offset[-1]) == length
        and not bool((offset.diff() < 0).any())
    )


def _have_cells(cell: Tensor, offset: Tensor, channels: Tensor, latents: Sequence[Tensor | None]) -> bool:
    """Return whether the views that have lifted cells have latents with such cells, each once, and so many channels.

    A view may have lost its latent.
    """
    ends = offset.tolist()
    for latent, start, end, n in zip(latents, ends[:-1], ends[1:], channels.tolist(), strict=True):
        if start == end or n <= 0:
            if start != end or n:
                return False
            continue
        mine = cell[start:end].long()
        if int(mine[0]) < 0 or bool((mine.diff() <= 0).any()):
            return False
        if latent is None:
            continue
        fits = latent.ndim == 3 and latent.is_floating_point() and len(latent) == n
        if not fits or int(mine[-1]) >= latent[0].numel():
            return False
    return True
