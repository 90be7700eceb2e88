"""Where the geometry of a view comes from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import ManhattanRoom
from vmem_ros.geometry.hole_filling import fill_depth
from vmem_ros.types import PointMap, Projection, Recall, View

#: Geometric confidence of depth that was only continued from its surroundings.
FILLED_CONFIDENCE = 0.1


class SensorDepth:
    """The depth image that came with the view, as it is: what an RGB-D robot measures."""

    name = "sensor"
    uses_image = False

    def estimate(self, views: Sequence[View], recall: Recall | None = None) -> list[PointMap]:
        """Return one point map per view.

        :raises InvalidImageError: a view has no depth, or no valid pixel in it.
        """
        maps = []
        for view in views:
            if view.depth is None or not bool(torch.isfinite(view.depth).any()):
                raise InvalidImageError(
                    "the view has no usable depth: give z-depth in metres, registered to the image (NaN: unknown), or "
                    "use an estimator that looks at pictures, such as 'small'"
                )
            confidence = torch.ones_like(view.depth)
            maps.append(PointMap.from_depth(view.depth, confidence, view.camera, view.T_world_camera))
        return maps


class MemoryDepth:
    """Memory's own projected depth, its holes filled with low confidence.

    In a room whose floor projections or references show (in a world with z up) holes get the depth of floor, ceiling
    and walls (:class:`~vmem_ros.geometry.ManhattanRoom`), elsewhere that of their surroundings. With neither a floor
    nor memory at a pose there is no depth: the view makes no surfels.
    """

    name = "memory"
    uses_image = False

    def estimate(self, views: Sequence[View], recall: Recall) -> list[PointMap]:
        """Return one point map per view; ``recall.projections[i]`` belongs to ``views[i]``."""
        maps = []
        # Views of one size show the room together.
        alike = len(views) == len(recall.projections) and len({view.camera.size for view in views}) == 1
        continued = _continued(views, recall.projections, recall.views) if alike else None
        for i, (view, projection) in enumerate(zip(views, recall.projections, strict=True)):
            depth = _continued([view], [projection], recall.views)[0] if continued is None else continued[i]
            confidence = torch.where(projection.seen, 1.0, FILLED_CONFIDENCE)
            maps.append(PointMap.from_depth(depth, confidence, view.camera, view.T_world_camera))
        return maps


def _continued(views: Sequence[View], projections: Sequence[Projection], references: Sequence[View]) -> Tensor:
    """Return the depth [N, H, W] of projections of one size, its holes those of the room around them.

    :param references: may show the floor where no projection does; those of another size are left out.
    """
    remembered = torch.stack([projection.depth for projection in projections])
    beside = [
        (view, view.depth) for view in references if view.depth is not None and view.camera.size == views[0].camera.size
    ]
    every = [*views, *(view for view, _ in beside)]
    room = ManhattanRoom.seen_in(
        torch.stack([*remembered, *(depth.to(remembered) for _, depth in beside)]),
        [view.camera for view in every],
        torch.stack([view.T_world_camera for view in every]),
    )
    filled = room.depth[: len(views)] if bool(room.floor.isfinite()) else fill_depth(remembered)
    return torch.where(torch.isfinite(remembered), remembered, filled)
