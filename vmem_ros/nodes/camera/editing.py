"""What ``~/edit_world`` asks for, as regions and clouds of the world."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from vmem_ros.srv import EditWorld

from vmem_ros.edits import Box, Edited, Region, Sphere, UnderMask
from vmem_ros.errors import InvalidEditError, InvalidImageError
from vmem_ros.messages.clouds import elements_from_message
from vmem_ros.messages.observed_view import mask_of_camera
from vmem_ros.messages.transforms import camera_from_link
from vmem_ros.nodes.camera.core import Core
from vmem_ros.types import Elements, Target
from vmem_ros.world import World

# How deep a mask goes where a request says nothing.
_THICKNESS_M = 0.2


class Editing:
    """Reads requests and edits the world."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def edit(self, request: Any) -> Edited:
        """Do what an ``EditWorld`` request says, and return what has changed.

        :raises InvalidEditError: it is none, nothing is remembered there, or the memory cannot be edited.
        """
        self._core.require_active()
        remove = await self._region(request)
        add = await self._cloud(request.add) if request.add.width else None

        def edit(world: World) -> Edited:
            return world.edit(remove=remove, add=add)

        edited: Edited = await self._core.run(edit)
        return edited

    async def _region(self, request: Any) -> tuple[Region | UnderMask, ...]:
        """Return what is to be removed."""
        kind = request.remove
        if kind == EditWorld.Request.NOTHING:
            return ()
        if kind not in (EditWorld.Request.BOX, EditWorld.Request.SPHERE, EditWorld.Request.MASK):
            raise InvalidEditError(f"remove must be NOTHING 0, BOX 1, SPHERE 2 or MASK 3, got {kind}")
        T_world_place, _ = await self._core.link_pose(request.pose)
        if kind == EditWorld.Request.BOX:
            size = request.size
            return (Box(T_world_place, (size.x, size.y, size.z)),)
        if kind == EditWorld.Request.SPHERE:
            return (Sphere(T_world_place[:3, 3], request.radius),)
        max_pixels = self._core.parameters["camera.max_pixels"]
        camera, mask = mask_of_camera(request.mask, request.camera_info, max_pixels=max_pixels)
        target = Target(camera, camera_from_link(T_world_place))
        return (UnderMask(target, torch.from_numpy(mask), thickness_m=request.thickness or _THICKNESS_M),)

    async def _cloud(self, message: Any) -> Elements:
        """Return a cloud in the world."""
        try:
            cloud = elements_from_message(message)
        except InvalidImageError as error:
            raise InvalidEditError(f"the cloud to add cannot be read: {error}") from error
        T: Tensor = await self._core.world_from(message.header.frame_id, 0)
        position = (cloud.position.double() @ T[:3, :3].mT + T[:3, 3]).float()
        normal = None if cloud.normal is None else (cloud.normal.double() @ T[:3, :3].mT).float()
        return replace(cloud, position=position, normal=normal)
