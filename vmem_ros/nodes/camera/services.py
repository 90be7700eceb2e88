"""The services of the camera node, except ~/generate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any

import torch
from sensor_msgs.srv import SetCameraInfo
from std_srvs.srv import SetBool, Trigger
from vmem_ros.srv import AddView, EditWorld, LoadWorld, RenderView, SaveWorld

from vmem_ros.errors import NotSeededError
from vmem_ros.messages.observed_view import observed_view_from_messages
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.editing import Editing
from vmem_ros.nodes.camera.observing import Observing
from vmem_ros.nodes.camera.requests import Generation, Request
from vmem_ros.nodes.camera.world_paths import world_path
from vmem_ros.nodes.interface.error_codes import as_text, refuse
from vmem_ros.nodes.interface.names import SERVICES, service_qos
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header, image_to_message, map_to_message
from vmem_ros.tiles import TILE_PIXELS
from vmem_ros.types import Projection, Target
from vmem_ros.world import World


class Services:
    """Answers requests; every error becomes a code and a message, or for ``std_srvs`` a message led by the code."""

    def __init__(self, core: Core, generation: Generation, observing: Observing) -> None:
        self._core = core
        self._observing = observing
        self._generation = generation
        self._editing = Editing(core)
        bodies: dict[str, Callable[[Any, Any], Awaitable[None]]] = {
            "render": self._render,
            "capture": self._capture,
            "undo": self._undo,
            "reset": self._reset,
            "pause": self._pause,
            "save_world": self._save,
            "load_world": self._load,
            "add_view": self._add_view,
            "edit_world": self._edit_world,
            "set_camera_info": self._set_camera_info,
        }
        qos = service_qos(core.parameters["queue.max_length"], core.parameters["queue.burst"])
        for name, service in SERVICES.items():
            core.node.create_service(
                service.type,
                service.path,
                self._answering(name, bodies[name]),
                qos_profile=qos,
                callback_group=core.group,
            )

    def _answering(
        self, name: str, body: Callable[[Any, Any], Awaitable[None]]
    ) -> Callable[[Any, Any], Awaitable[Any]]:
        async def answer(request: Any, response: Any) -> Any:
            try:
                await body(request, response)
                if hasattr(response, "success"):
                    response.success = True
            except Exception as error:
                named = self._core.report(f"~/{name}", error)
                if hasattr(response, "error_code"):
                    return refuse(response, named)
                response.success = False
                field = "message" if hasattr(response, "message") else "status_message"
                setattr(response, field, as_text(named))
            return response

        return answer

    async def _render(self, request: RenderView.Request, response: RenderView.Response) -> None:
        core = self._core
        core.require_active()
        camera = core.camera_of(request.camera_info) if request.camera_info.width else core.rig.preview_camera
        T_world_camera, stamp_ns = await core.camera_pose(request.pose)
        target = Target(camera, T_world_camera, stamp_ns or core.now_ns())

        def draw(world: World) -> Generator[None, None, None]:
            if not len(world):
                raise NotSeededError("the world has no view yet: publish seed/*, or call ~/add_view or ~/load_world")
            self._fill(response, (yield from world.glimpse_in_tiles(target)), target, request)

        large = camera.width * camera.height > TILE_PIXELS
        asked = core.node.resolve_service_name(SERVICES["render"].path)
        await core.worker.submit("large" if large else "read", draw, wanted=lambda: core.node.count_clients(asked) > 0)

    def _fill(
        self, response: RenderView.Response, shown: Projection, target: Target, request: RenderView.Request
    ) -> None:
        """Fill in a rendering; in the worker's thread."""
        head = header(self._core.names.of("preview"), target.stamp_ns)
        response.camera_info = camera_to_message(target.camera, head)
        response.seen = float(shown.seen.float().mean())
        response.mean_confidence = float(shown.confidence.mean())
        known = shown.depth[torch.isfinite(shown.depth)]
        response.nearest_depth = float(known.min()) if len(known) else float("nan")
        if not request.skip_images:
            response.image = image_to_message(shown.image, head)
            response.depth = map_to_message(shown.depth, head)
            response.confidence = map_to_message(shown.confidence, head)

    async def _capture(self, _: Trigger.Request, response: Trigger.Response) -> None:
        core = self._core
        target = core.rig.target(core.rig.camera, core.view_stamp_ns())
        request = Request([target], core.epoch, seed=self._generation.seed(-1))
        await self._generation.submit(request)
        response.message = str(request.stamps_ns[0])

    async def _undo(self, _: Trigger.Request, response: Trigger.Response) -> None:
        def undo(world: World) -> str:
            before = len(world)
            world.undo()
            gone = before - len(world)
            return f"{f'forgot {gone} views' if gone else 'took an edit back'}, {len(world)} remain"

        response.message = await self._core.run(undo, takes_back=True)

    async def _reset(self, _: Trigger.Request, response: Trigger.Response) -> None:
        def reset(world: World) -> str:
            views = len(world)
            world.reset()
            return f"forgot all {views} views"

        response.message = await self._core.run(reset, takes_back=True)

    async def _pause(self, request: SetBool.Request, response: SetBool.Response) -> None:
        self._core.require_active()
        self._core.worker.pause(request.data)
        response.message = "generation is held" if request.data else "generation goes on"

    async def _save(self, request: SaveWorld.Request, response: SaveWorld.Response) -> None:
        p = self._core.parameters
        path = world_path(p["world.root"], request.url or p["world.path"])

        def save(world: World) -> tuple[int, int]:
            return world.save(path, overwrite=request.overwrite, make_folder=True), len(world)

        self._core.require_active()
        response.bytes, response.stored_views = await self._core.worker.submit("command", save)
        response.path = str(path)

    async def _load(self, request: LoadWorld.Request, response: LoadWorld.Response) -> None:
        p = self._core.parameters
        path = world_path(p["world.root"], request.url or p["world.path"])

        def load(world: World) -> tuple[int, tuple[str, ...]]:
            notes = world.load(path)
            return len(world), notes

        response.stored_views, notes = await self._core.run(load, takes_back=True)
        response.path = str(path)
        self._core.node.get_logger().info("; ".join([f"loaded {path}: {response.stored_views} views", *notes]))

    async def _add_view(self, request: AddView.Request, response: AddView.Response) -> None:
        T_world_camera, stamp_ns = await self._core.camera_pose(request.pose)
        stamp_ns = stamp_ns or self._core.now_ns()

        def add(world: World) -> int:
            seen = observed_view_from_messages(
                request.image,
                request.camera_info,
                T_world_camera,
                depth=request.depth if request.depth.width else None,
                mask=request.mask if request.mask.width else None,
                rectified=request.rectified,
                stamp_ns=stamp_ns,
                max_pixels=self._core.parameters["camera.max_pixels"],
            )
            self._observing.observe(world, seen)
            return len(world)

        response.stored_views = await self._core.run(add)
        self._core.rig.place_if_new(T_world_camera, stamp_ns)

    async def _edit_world(self, request: EditWorld.Request, response: EditWorld.Response) -> None:
        edited = await self._editing.edit(request)
        response.removed, response.added = edited.removed, edited.added
        response.changed_views, response.removed_pixels = edited.views, edited.pixels

    async def _set_camera_info(self, request: SetCameraInfo.Request, response: SetCameraInfo.Response) -> None:
        camera = self._core.camera_of(request.camera_info)
        self._core.rig.camera = camera
        response.status_message = f"{camera.width} x {camera.height}, until camera.* parameters are set"
