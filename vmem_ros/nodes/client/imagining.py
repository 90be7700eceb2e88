"""The verb that looks ahead: what would be seen along several candidate paths."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nav_msgs.msg import Path
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.images import image_from_message, map_from_message
from vmem_ros.messages.transforms import camera_from_link, pose_from_message
from vmem_ros.nodes.client.answers import Feedback
from vmem_ros.nodes.client.goal import result_of_drawing
from vmem_ros.nodes.client.pose_stamps import PoseLike
from vmem_ros.nodes.client.verbs import Verbs, awaitable, blocking
from vmem_ros.nodes.interface.names import ACTIONS


@dataclass(frozen=True, eq=False)
class ViewAhead:
    """One view of a path that was only imagined.

    :param image: [H, W, 3] uint8 RGB, ``depth`` and ``confidence`` [H, W] float32; ``None`` if only figures were asked.
    :param T_world_camera: [4, 4] float64, optical axes.
    :param remembered: share of pixels that memory shows.
    :param nearest_depth_m: smallest depth, NaN if none is known.
    :param disagreement: mean difference of the colours of two draws, 0 equal, 1 black against white; NaN: one draw.
    """

    image: NDArray[np.uint8] | None
    depth: NDArray[np.float32] | None
    confidence: NDArray[np.float32] | None
    camera: Camera
    T_world_camera: Tensor
    remembered: float
    mean_confidence: float
    nearest_depth_m: float
    disagreement: float


@dataclass(frozen=True, eq=False)
class PathAhead:
    """What would be seen along one path: its views, and what they say together (:class:`ViewAhead`)."""

    views: tuple[ViewAhead, ...]
    remembered: float
    mean_confidence: float
    nearest_depth_m: float
    disagreement: float


class Imagining(Verbs):
    """What the camera would see."""

    @awaitable
    async def imagine_async(
        self,
        paths: Sequence[Sequence[PoseLike]],
        *,
        camera: Camera | None = None,
        seed: int = -1,
        prompt: str = "",
        two_seeds: bool = True,
        images: bool = False,
        on_feedback: Callable[[Feedback], None] | None = None,
    ) -> list[PathAhead]:
        """Return what would be seen along each of several candidate paths; the world stays as it is.

        :param camera: intrinsics of the views; ``None``: the node's.
        :param seed: of every path; equal seeds and equal worlds give equal views; -1: the node's choice.
        :param prompt: as of :meth:`generate`.
        :param two_seeds: draw each path twice, and say how much the draws disagree: twice the work.
        :param images: whether pictures are wanted, too; they are also on the topic ``imagined/view``.
        :param on_feedback: as of :meth:`generate`.
        """
        connection = self._connection
        goal = ACTIONS["imagine"].type.Goal(seed=seed, prompt=prompt, one_seed=not two_seeds, images=images)
        goal.paths = [Path(poses=[connection.stamps.stamped(pose) for pose in path]) for path in paths]
        result = await result_of_drawing(connection, "imagine", goal, camera, on_feedback)
        return [_path(path, images) for path in result.paths]

    imagine = blocking(imagine_async)


def _path(message: Any, images: bool) -> PathAhead:
    return PathAhead(
        views=tuple(_view(view, images) for view in message.views),
        remembered=message.remembered,
        mean_confidence=message.mean_confidence,
        nearest_depth_m=message.nearest_depth,
        disagreement=message.disagreement,
    )


def _view(message: Any, images: bool) -> ViewAhead:
    return ViewAhead(
        image=image_from_message(message.image) if images else None,
        depth=map_from_message(message.depth) if images else None,
        confidence=map_from_message(message.confidence) if images else None,
        camera=camera_from_message(message.camera_info),
        T_world_camera=camera_from_link(pose_from_message(message.pose)),
        remembered=message.remembered,
        mean_confidence=message.mean_confidence,
        nearest_depth_m=message.nearest_depth,
        disagreement=message.disagreement,
    )
