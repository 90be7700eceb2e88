"""What is to be seen in space: the cloud of the memory, stored views at their places, and the camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
import viser
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.geometry import Camera, quaternion_xyzw
from vmem_ros.reporting.colormaps import confidence_overlay
from vmem_ros.reporting.palette import ASKED, INK, ROBOT
from vmem_ros.viewer.server import Server
from vmem_ros.viewer.snapshot import Cloud, Snapshot, StoredView, vertical_fov

#: ``picture``: as it looks; ``confidence``: orange imagined ... green seen by a camera.
Colours = Literal["picture", "confidence"]

# viser draws all points of a cloud in one size: the elements are shown as so many clouds, from small to large.
_SIZES = 6
# Drawn width over radius: neighbours are two radii apart, and a little more closes the gaps between them.
_WIDTH = 2.3
_LINE_PX = 2.0


@dataclass(frozen=True)
class Style:
    """How a world is shown, and what of it.

    :param scale: depth of stored views in metres.
    """

    colours: Colours = "picture"
    cloud: bool = True
    observed: bool = True
    generated: bool = True
    scale: float = 0.1


class Scene:
    """Nodes of the same names over and over, so that what waits for a slow browser does not grow.

    Belongs to the viewer's thread.

    :param on_click: called with a stored view and the number of the browser in which it was clicked, in a thread of
        viser's.
    """

    def __init__(self, server: Server, *, on_click: Callable[[StoredView, int], None]) -> None:
        self._server = server
        self._on_click = on_click
        self._cloud: Cloud | None = None
        self._points: list[viser.PointCloudHandle] = []
        self._views: list[StoredView] = []
        self._frustums: list[viser.CameraFrustumHandle] = []
        self._camera: viser.CameraFrustumHandle | None = None
        self._style = Style()
        server.scene.set_up_direction("+z")
        server.scene.configure_default_lights(False)

    def show(self, snapshot: Snapshot) -> None:
        """Show a world."""
        if snapshot.cloud is not self._cloud:
            self._cloud = snapshot.cloud
            self._show_cloud(snapshot.cloud)
        self._show_views(list(snapshot.views))

    def show_camera(self, T_world_camera: Tensor, camera: Camera, image: NDArray[np.uint8] | None) -> None:
        """Show where the camera is, and what memory shows there."""
        self._camera = self._frustum(
            "/camera", T_world_camera, camera, image, colour=INK, depth_m=1.6 * self._style.scale, visible=True
        )

    def hide_camera(self) -> None:
        """Do not show where the camera is: it is where the browser looks from."""
        if self._camera is not None:
            self._camera.visible = False

    def apply(self, style: Style) -> None:
        """Show everything in a style; what is the same as before is not sent again."""
        before, self._style = self._style, style
        if style.colours != before.colours and self._cloud is not None:
            self._show_cloud(self._cloud)
        for points in self._points if style.cloud != before.cloud else ():
            points.visible = style.cloud
        for view, frustum in zip(self._views, self._frustums, strict=True) if style != before else ():
            frustum.scale = _scale(view.target.camera, style.scale)
            frustum.visible = self._is_shown(view)

    @property
    def centre(self) -> NDArray[np.float64]:
        """The middle of what is remembered, [3]."""
        if self._cloud is None or not len(self._cloud.position):
            return np.zeros(3)
        return np.asarray(np.median(self._cloud.position, axis=0), np.float64)

    def _show_cloud(self, cloud: Cloud) -> None:
        color = cloud.color
        if self._style.colours == "confidence" and cloud.confidence is not None and len(color):
            overlay = confidence_overlay(
                torch.from_numpy(color)[:, None], torch.from_numpy(cloud.confidence)[:, None], opacity=0.8
            )
            color = overlay[:, 0].numpy()
        order = np.argsort(cloud.radius)
        with self._server.atomic():
            # An empty cloud has no node.
            parts = [part for part in np.array_split(order, _SIZES) if len(part)]
            for points in self._points[len(parts) :]:
                points.remove()
            self._points = [
                self._server.scene.add_point_cloud(
                    f"/elements/{number}",
                    cloud.position[part],
                    color[part],
                    point_size=_WIDTH * float(np.median(cloud.radius[part])),
                    point_shape="circle",
                    point_shading="flat",
                    precision="float32",
                    visible=self._style.cloud,
                )
                for number, part in enumerate(parts)
            ]

    def _show_views(self, views: list[StoredView]) -> None:
        """Show stored views; what is shown already at its place stays."""
        with self._server.atomic():
            for frustum in self._frustums[len(views) :]:
                frustum.remove()
            del self._frustums[len(views) :]
            for number, view in enumerate(views):
                if number < len(self._frustums) and self._views[number] is view:
                    continue
                frustum = self._frustum(
                    f"/views/{number}",
                    view.target.T_world_camera,
                    view.target.camera,
                    view.image,
                    colour=ASKED if view.generated else ROBOT,
                    depth_m=self._style.scale,
                    visible=self._is_shown(view),
                )
                frustum.on_click(partial(self._clicked, view))
                self._frustums[number : number + 1] = [frustum]
        self._views = views

    def _clicked(self, view: StoredView, event: viser.SceneNodePointerEvent[viser.CameraFrustumHandle]) -> None:
        if event.client_id is not None:
            self._on_click(view, event.client_id)

    def _is_shown(self, view: StoredView) -> bool:
        return self._style.generated if view.generated else self._style.observed

    def _frustum(
        self,
        name: str,
        T_world_camera: Tensor,
        camera: Camera,
        image: NDArray[np.uint8] | None,
        *,
        colour: tuple[int, int, int],
        depth_m: float,
        visible: bool,
    ) -> viser.CameraFrustumHandle:
        return self._server.scene.add_camera_frustum(
            name,
            fov=vertical_fov(camera),
            aspect=camera.width / camera.height,
            scale=_scale(camera, depth_m),
            thickness=_LINE_PX,
            thickness_units="screen",
            color=colour,
            image=image,
            format="jpeg",
            wxyz=quaternion_xyzw(T_world_camera)[[3, 0, 1, 2]],
            position=T_world_camera[:3, 3].numpy(),
            visible=visible,
            cast_shadow=False,
            receive_shadow=False,
        )


def _scale(camera: Camera, depth_m: float) -> float:
    """Return what viser calls the scale of a frustum: all of one scale have one volume, whatever their lens."""
    half_height = camera.height / 2 / camera.fy
    return float(depth_m * (half_height**2 * camera.width / camera.height / 3) ** (1 / 3))
