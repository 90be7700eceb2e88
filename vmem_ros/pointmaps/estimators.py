"""Where the geometry of a view comes from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import ManhattanRoom
from vmem_ros.geometry.depth_maps import count_depth
from vmem_ros.geometry.posed_points import Direction
from vmem_ros.pointmaps.options import MemoryDepthOptions
from vmem_ros.pointmaps.sensor_cleaning import clean_depth
from vmem_ros.pointmaps.sensor_options import SensorDepthOptions
from vmem_ros.types import PointMap, Projection, Recall, View

#: Geometric confidence of depth that was only continued from its surroundings.
FILLED_CONFIDENCE = 0.1


class SensorDepth:
    """The depth image that came with the view: what an RGB-D robot measures.

    Exact depth stays as it is. What a real sensor measured loses its flying pixels, has its small gaps closed along
    surfaces, and says how much it is to be trusted (:func:`~vmem_ros.pointmaps.sensor_cleaning.clean_depth`).
    """

    name = "sensor"
    uses_image = False
    metric = True

    def __init__(self, options: SensorDepthOptions | None = None) -> None:
        self.options = options or SensorDepthOptions()

    def estimate(self, views: Sequence[View], recall: Recall | None = None) -> list[PointMap]:
        """Return one point map per view.

        :raises InvalidImageError: a view has no depth, or no valid pixel: no surface, and no look at nothing.
        """
        maps = []
        for view in views:
            if view.depth is None or not count_depth(view.depth).known:
                raise InvalidImageError(
                    "the view has no usable depth: give z-depth in metres, registered to the image (NaN: unknown, "
                    "+Inf: nothing there), or use an estimator that looks at pictures, such as 'small'"
                )
            depth, confidence = clean_depth(view.depth, view.camera, self.options)
            made = PointMap.from_depth if depth is view.depth else PointMap.of_known
            maps.append(made(depth, confidence, view.camera, view.T_world_camera))
        return maps


class MemoryDepth:
    """The depth that memory shows at a view. In its holes there is none, unless a prior says what is there.

    With the prior ``room``, and where projections and references show a room
    (:class:`~vmem_ros.geometry.ManhattanRoom`), holes get the depth of its floor, ceiling and walls, with confidence
    :data:`FILLED_CONFIDENCE`. Where a view has no depth it makes no surfels; it is stored all the same.
    """

    name = "memory"
    uses_image = False
    #: It goes on with the scale that memory has.
    metric = True

    def __init__(self, options: MemoryDepthOptions | None = None) -> None:
        self.options = options or MemoryDepthOptions()

    def estimate(self, views: Sequence[View], recall: Recall) -> list[PointMap]:
        """Return one point map per view; ``recall.projections[i]`` belongs to ``views[i]``."""
        maps = []
        unseen = self._unseen(views, recall)
        for view, projection, behind in zip(views, recall.projections, unseen, strict=True):
            unknown = projection.depth.isnan()
            depth = torch.where(unknown, behind, projection.depth)
            confidence = torch.where(unknown, FILLED_CONFIDENCE, torch.ones_like(depth))
            # Elements reach a little beyond what was seen: written again, surfaces would grow with every view. Those of
            # a room go on anyway, and written again they become finer where the camera is nearer.
            shown = None if bool(behind.isfinite().any()) else projection.ids
            maps.append(PointMap.from_depth(depth, confidence, view.camera, view.T_world_camera, shown=shown))
        return maps

    def _unseen(self, views: Sequence[View], recall: Recall) -> list[Tensor]:
        """Return what is believed of the depth of each view [H, W] where memory shows nothing."""
        projections = recall.projections
        if self.options.prior == "none":
            return [torch.full_like(projection.depth, torch.nan) for projection in projections]
        # Views of one size show the room together.
        if len(views) == len(projections) and len({view.camera.size for view in views}) == 1:
            return list(_of_room(views, projections, recall.views, self.options.up))
        return [
            _of_room([view], [projection], recall.views, self.options.up)[0]
            for view, projection in zip(views, projections, strict=True)
        ]


def _of_room(
    views: Sequence[View], projections: Sequence[Projection], references: Sequence[View], up: Direction | None
) -> Tensor:
    """Return the depth [N, H, W] of the room that projections of one size show; NaN where they show none.

    :param references: show more of it; those of another size are left out.
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
        up=up,
    )
    return room.depth[: len(views)]
