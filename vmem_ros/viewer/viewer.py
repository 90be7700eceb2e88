"""The viewer: one thread that looks at a world through its backend, and shows it in browsers."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

import numpy as np
import torch
import viser
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import VmemError
from vmem_ros.geometry import look_at
from vmem_ros.reporting.colormaps import confidence_overlay
from vmem_ros.reporting.palette import PAPER
from vmem_ros.types import Target
from vmem_ros.viewer.backend import Backend, Status
from vmem_ros.viewer.flight import Flight, looks_alike
from vmem_ros.viewer.panel import Actions, Panel
from vmem_ros.viewer.scene import Colours, Scene
from vmem_ros.viewer.server import Server
from vmem_ros.viewer.snapshot import Preview, Snapshot, StoredView

Result = TypeVar("Result")

# The thread looks so often whether there is something to show; without browsers, less often.
_TICK_S, _ALONE_S = 1 / 30, 0.2
# A browser whose user has not moved for so long follows where the camera is moved to by others.
_STILL_S = 1.0
# From so far away a browser looks at a world in which the camera is nowhere yet.
_OVERVIEW_M = 8.0
_JPEG_QUALITY = 85
# Longer side of the preview in the panel.
_PANEL_PX = 384
# What the worker computes for the viewer takes at most one part in so many of its time.
_SHARE = 3.0


class _Asked(Generic[Result]):
    """The one answer that is waited for, and when the next may be asked for."""

    def __init__(self) -> None:
        self._future: Future[Result] | None = None
        self._began = 0.0
        self._not_before = 0.0

    def may_ask(self) -> bool:
        """Return whether it is time to ask again."""
        return self._future is None and time.monotonic() >= self._not_before

    def ask(self, future: Future[Result]) -> None:
        """Wait for a new answer."""
        self._future, self._began = future, time.monotonic()

    def answer(self, period_s: float) -> Result | None:
        """Return the answer once it is there, and ``None`` before.

        :param period_s: the next one is not asked for sooner after this one was.
        """
        if self._future is None or not self._future.done():
            return None
        future, self._future = self._future, None
        took = time.monotonic() - self._began
        self._not_before = self._began + max(period_s, _SHARE * took)
        return future.result()


class Viewer:
    """Shows a world in every browser that opens :attr:`url`, and does what its user asks for.

    Asks the backend for one snapshot and one preview at a time, and for none while nobody looks; to each browser go the
    newest, and what a slow one has not taken yet is replaced.

    :param host: ``localhost`` for this machine only; ``0.0.0.0`` for everybody who reaches it.
    :param port: 0: any that is free.
    :param title: of the panel.
    :raises ViewerError: the port cannot be had.
    """

    def __init__(self, backend: Backend, *, host: str = "localhost", port: int = 0, title: str = "vmem") -> None:
        self._backend = backend
        self._server = Server(host, port)
        self._scene = Scene(self._server, on_click=self._visit)
        actions = Actions(
            generate=lambda prompt: self._ask(lambda: backend.generate(prompt)),
            cancel=backend.cancel,
            undo=lambda: self._ask(backend.undo),
            save=lambda overwrite: self._ask(lambda: backend.save(overwrite=overwrite)),
        )
        self._panel = Panel(self._server, actions, title=title)
        self._flights: dict[int, Flight] = {}
        self._snapshot: _Asked[Snapshot] = _Asked()
        self._preview: _Asked[Preview] = _Asked()
        self._requests: deque[Future[str]] = deque()
        self._asked_version = -1
        #: What is previewed: a window's picture, or where the camera is (``None``), and of what.
        self._asked_for: tuple[Flight | None, Target]
        self._style = self._panel.style
        self._previewed: tuple[object, ...] | None = None
        self._turn = 0
        self._failure = ""
        self._closing = threading.Event()
        self._server.on_client_connect(self._on_connect)
        self._server.on_client_disconnect(self._on_disconnect)
        self._thread = threading.Thread(target=self._run, name="vmem_viewer", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """What a browser opens."""
        return self._server.url

    def tell(self, request: Future[str]) -> None:
        """Show what becomes of a request, once it is known."""
        self._requests.append(request)

    def close(self) -> None:
        """Close the viewer, without waiting for browsers that do not answer."""
        self._closing.set()
        self._thread.join()
        self._server.leave()

    # -- from browsers, in threads of viser's ------------------------------------------------------------------------
    async def _on_connect(self, client: viser.ClientHandle) -> None:
        status = self._backend.status()
        flight = Flight(client, status.camera)
        flight.look_through(self._panel.style.scale)
        flight.go(self._start(status))

        async def on_update(_: viser.CameraHandle) -> None:
            try:
                pose = flight.moved()
                if pose is not None and self._panel.flies:
                    self._backend.move(pose)
            except (VmemError, ArithmeticError, ValueError) as error:
                self._panel.show_message(f"where a browser looks from cannot be used: {error}", is_error=True)

        client.camera.on_update(on_update)
        self._flights[client.client_id] = flight

    async def _on_disconnect(self, client: viser.ClientHandle) -> None:
        self._flights.pop(client.client_id, None)

    def _visit(self, view: StoredView, client_id: int) -> None:
        """Go where a stored view was taken: the camera, or one browser alone."""
        flights = list(self._flights.values())
        if self._panel.flies:
            self._backend.move(view.target.T_world_camera)
        else:
            flights = [flight for flight in flights if flight.client.client_id == client_id]
        for flight in flights:
            flight.go(view.target.T_world_camera)

    def _ask(self, ask: Callable[[], Future[str]]) -> None:
        """Ask the backend for something; its answer is shown once it is there."""
        try:
            self.tell(ask())
        except VmemError as error:
            self._panel.show_message(str(error), is_error=True)

    # -- in the viewer's thread --------------------------------------------------------------------------------------
    def _run(self) -> None:
        while not self._closing.wait(_TICK_S if self._flights else _ALONE_S):
            try:
                self._tick()
            except Exception as error:
                # The next tick may do better; what fails over and over is said once.
                text = f"{type(error).__name__}: {error}"
                if text != self._failure:
                    self._failure = text
                    self._panel.show_message(text, is_error=True)

    def _tick(self) -> None:
        status = self._backend.status()
        self._panel.show_status(status)
        self._tell_answers()
        self._apply_style()
        if self._flights and status.ready:
            self._show_world(status)
            self._follow(status)
            self._show_preview(status)

    def _tell_answers(self) -> None:
        """Show what became of what browsers asked for."""
        for _ in range(len(self._requests)):
            future = self._requests.popleft()
            if not future.done():
                self._requests.append(future)
            elif (error := future.exception()) is not None:
                self._panel.show_message(str(error) or type(error).__name__, is_error=True)
            else:
                self._panel.show_message(future.result())

    def _apply_style(self) -> None:
        style, before = self._panel.style, self._style
        if style == before:
            return
        self._style = style
        self._scene.apply(style)
        for flight in list(self._flights.values()):
            flight.look_through(style.scale)

    def _show_world(self, status: Status) -> None:
        snapshot = self._snapshot.answer(status.snapshot_period_s)
        if snapshot is not None:
            self._scene.show(snapshot)
        if status.version != self._asked_version and self._snapshot.may_ask():
            self._snapshot.ask(self._backend.snapshot())
            self._asked_version = status.version

    def _follow(self, status: Status) -> None:
        """Let browsers that fly look from where others have moved the camera to."""
        pose = status.T_world_camera
        if pose is None or not self._panel.flies:
            return
        for flight in list(self._flights.values()):
            still = time.monotonic() - flight.moved_at > _STILL_S
            if still and not flight.was_sent_to(pose) and not looks_alike(flight.pose, pose):
                flight.go(pose)

    def _show_preview(self, status: Status) -> None:
        preview = self._preview.answer(status.preview_period_s)
        if preview is not None:
            flight, target = self._asked_for
            image = _picture(preview, self._style.colours)
            if flight is None:
                self._show_camera(target, image)
            elif self._panel.fills_window:
                depth = np.where(np.isfinite(preview.depth), preview.depth, np.inf)
                flight.client.scene.set_background_image(image, "jpeg", jpeg_quality=_JPEG_QUALITY, depth=depth)
        if self._preview.may_ask():
            self._ask_for_preview(status)

    def _ask_for_preview(self, status: Status) -> None:
        """Ask for what each window shows, in turns, or for what the camera sees; only for what has changed."""
        windows = list(self._flights.values())
        if not self._panel.fills_window:
            for window in windows:
                _clear(window)
            target = self._camera_target(status)
            if target is not None and self._previewed != (wanted := self._key(status, target)):
                self._previewed, self._asked_for = wanted, (None, target)
                self._preview.ask(self._backend.preview(target))
            return
        self._turn += 1
        for number in range(len(windows)):
            window = windows[(self._turn + number) % len(windows)]
            target = window.target
            if window.previewed != (wanted := self._key(status, target)):
                window.previewed, self._asked_for = wanted, (window, target)
                self._preview.ask(self._backend.preview(target))
                return

    def _key(self, status: Status, target: Target) -> tuple[object, ...]:
        """Return what a preview depends on."""
        pose = tuple(target.T_world_camera.flatten().tolist())
        return status.version, self._style.colours, self._panel.flies, target.camera, pose

    def _camera_target(self, status: Status) -> Target | None:
        """Return what the panel previews: what the camera sees, in small."""
        if status.T_world_camera is None:
            return None
        camera = status.camera
        scale = min(1.0, _PANEL_PX / max(camera.size))
        small = camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))
        return Target(small, status.T_world_camera)

    def _show_camera(self, target: Target, image: NDArray[np.uint8]) -> None:
        self._panel.show_preview(image)
        if self._panel.flies:
            self._scene.hide_camera()
        else:
            self._scene.show_camera(target.T_world_camera, target.camera, image)

    def _start(self, status: Status) -> Tensor:
        """Return where a browser begins."""
        if status.T_world_camera is not None:
            return status.T_world_camera
        centre = self._scene.centre
        return look_at(centre + _OVERVIEW_M * np.array([-0.6, -0.6, 0.5]), centre)


def _clear(window: Flight) -> None:
    """Take the picture out of a window, if it has one."""
    if window.previewed is not None:
        window.previewed = None
        window.client.scene.set_background_image(None)


def _picture(preview: Preview, colours: Colours) -> NDArray[np.uint8]:
    """Return a preview as it is shown: what is unknown is as empty as paper."""
    image = preview.image
    if colours == "confidence":
        image = confidence_overlay(torch.from_numpy(image), torch.from_numpy(preview.confidence)).numpy()
    return np.where((preview.confidence > 0)[..., None], image, np.array(PAPER, np.uint8))
