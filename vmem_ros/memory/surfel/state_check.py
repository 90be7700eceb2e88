"""Whether the surfels, pairs and views of a world file fit together: a file is not to be trusted."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.memory.surfel.surfels import SurfelCloud


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
        "the origin is no point": len(origin) != 3,
        "view counts differ": len(offset) != views + 1 or len(born) != views + 1,
        "pairs are not grouped by view": not offset.numel()
        or int(offset[0]) != 0
        or int(offset[-1]) != len(surfel)
        or bool((offset.diff() < 0).any()),
        "pairs name surfels that do not exist": bool(((surfel < 0) | (surfel >= n)).any()),
        "surfel counts per view do not add up": not born or born[0] != 0 or born[-1] != n or sorted(born) != born,
    }
    if not any(problems.values()):
        known = torch.tensor(born[1:], device=surfel.device).repeat_interleave(offset.diff())
        problems["pairs name surfels of later views"] = bool((surfel >= known).any())
    wrong = [text for text, is_wrong in problems.items() if is_wrong]
    if wrong:
        raise WorldFileError(f"the world file is inconsistent: {'; '.join(wrong)}")
