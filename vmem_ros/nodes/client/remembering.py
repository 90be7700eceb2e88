"""Verbs that change, keep and bring back what is remembered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from std_srvs.srv import SetBool

from vmem_ros.edits import Box, Edited, Sphere, UnderMask
from vmem_ros.geometry import Camera
from vmem_ros.nodes.client.answers import SavedWorld
from vmem_ros.nodes.client.edit_requests import edit_request
from vmem_ros.nodes.client.pose_stamps import PoseLike
from vmem_ros.nodes.client.verbs import Verbs, awaitable, blocking
from vmem_ros.nodes.interface.names import SERVICES
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    image_to_message,
    map_to_message,
    mask_to_message,
)
from vmem_ros.types import Elements


class Remembering(Verbs):
    """What the world is made of."""

    @awaitable
    async def add_view_async(
        self,
        image: NDArray[np.uint8],
        camera: Camera,
        pose: PoseLike,
        *,
        depth: NDArray[np.float32] | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> int:
        """Put an observed view into the memory; returns the number of stored views.

        :param image: [H, W, 3] uint8 RGB.
        :param depth: [H, W] float32 metres, NaN unknown. ``None``: the node's ``geometry.estimator`` finds it, if it
            looks at pictures.
        :param mask: [H, W] bool: what moves and is not to be remembered. ``None``: nothing does.
        """
        stamped = self._connection.stamps.stamped(pose)
        head = stamped.header
        request = SERVICES["add_view"].type.Request(
            image=image_to_message(image, head), camera_info=camera_to_message(camera, head), pose=stamped
        )
        if depth is not None:
            request.depth = map_to_message(np.asarray(depth, np.float32), head)
        if mask is not None:
            request.mask = mask_to_message(np.asarray(mask, bool), head)
        return int((await self._connection.call_checked("add_view", request)).stored_views)

    add_view = blocking(add_view_async)

    @awaitable
    async def edit_async(
        self, *, remove: Box | Sphere | UnderMask | None = None, add: Elements | None = None, frame_id: str = ""
    ) -> Edited:
        """Remove what is remembered in a place, then add a coloured cloud: one commit, which :meth:`undo` takes back.

        :param remove: in the frame ``frame_id``; what lies under a mask is as far away as the memory shows it now.
        :param add: in that frame; normals and radii are found where it has none.
        :param frame_id: any that TF knows; empty: the world's.
        :raises InvalidEditError: nothing is remembered there and nothing is to be added, or the memory cannot be
            edited.
        """
        request = edit_request(remove, add, frame_id or self._connection.stamps.world_frame)
        answer = await self._connection.call_checked("edit_world", request)
        return Edited(answer.removed, answer.added, answer.changed_views, answer.removed_pixels)

    edit = blocking(edit_async)

    @awaitable
    async def undo_async(self) -> None:
        """Take back the last commit."""
        await self._connection.trigger("undo")

    undo = blocking(undo_async)

    @awaitable
    async def reset_async(self) -> None:
        """Forget everything."""
        await self._connection.trigger("reset")

    reset = blocking(reset_async)

    @awaitable
    async def pause_async(self, paused: bool = True) -> None:
        """Hold generation between two steps, or continue."""
        await self._connection.trigger("pause", SetBool.Request(data=paused))

    pause = blocking(pause_async)

    @awaitable
    async def save_async(self, url: str = "", *, overwrite: bool = False) -> SavedWorld:
        """Save the world below the node's world.root; empty: its world.path."""
        request = SERVICES["save_world"].type.Request(url=url, overwrite=overwrite)
        answer = await self._connection.call_checked("save_world", request)
        return SavedWorld(answer.path, answer.stored_views)

    save = blocking(save_async)

    @awaitable
    async def load_async(self, url: str = "") -> SavedWorld:
        """Replace the world by a saved one; on any error it stays as it is."""
        answer = await self._connection.call_checked("load_world", SERVICES["load_world"].type.Request(url=url))
        return SavedWorld(answer.path, answer.stored_views)

    load = blocking(load_async)
