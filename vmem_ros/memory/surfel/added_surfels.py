"""From a cloud that is added by hand to surfels."""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.memory.cloud_surface import normals_of, spacing_of
from vmem_ros.memory.surfel.surfels import SurfelCloud
from vmem_ros.types import Elements


def surfels_of(cloud: Elements, origin: Tensor, device: torch.device) -> SurfelCloud:
    """Return surfels of a cloud in the world, relative to ``origin`` [3] float64.

    Without normals there are two surfels a point, one to each side: only the fronts of surfels are drawn. Without radii
    they reach half-way to their neighbours. They count as seen, so that they hide what was only imagined.
    """
    position = (cloud.position.double().cpu() - origin).float()
    normal = normals_of(position) if cloud.normal is None else cloud.normal.cpu()
    radius = spacing_of(position) / 2 if cloud.radius is None else cloud.radius.cpu()
    color = cloud.color.cpu()
    if cloud.normal is None:
        position, radius, color = (torch.cat([each, each]) for each in (position, radius, color))
        normal = torch.cat([normal, -normal])
    normal = torch.nn.functional.normalize(normal, dim=-1)
    columns = (position, normal, radius, color, torch.ones(len(position)))
    return SurfelCloud(*(column.to(device) for column in columns))
