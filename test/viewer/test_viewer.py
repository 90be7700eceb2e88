"""The viewer as its pages see it, over the real WebSocket: what it shows, what it does, whom it refuses."""

import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import viser
from websockets.exceptions import ConnectionClosedError

from rooms import box_view, orbit
from slow_engine import STEP_S, SlowGenerator
from viewer_page import ViewerPage, camera_fields, connection, packed
from vmem_ros.errors import ViewerError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.viewer.flight import looks_alike
from vmem_ros.viewer.viewer import Viewer
from vmem_ros.viewer.world_backend import WorldBackend
from vmem_ros.world import default_world
from waiting import WAIT_S, wait_until

CAMERA = Camera.from_fov(64, 48, 80)
VIEWS = [box_view(CAMERA, T) for T in orbit(3)]
START = VIEWS[0].T_world_camera
ELSEWHERE = look_at((0.5, 0.2, 0.1), (3.0, 0.5, 0.0))


@pytest.fixture
def backend(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WorldBackend]:
    """A world of three views, with an engine that takes so long a step as a test asks for."""
    world = default_world(SlowGenerator(step_s=getattr(request, "param", STEP_S)))
    for view in VIEWS:
        world.observe(view)
    backend = WorldBackend(world, CAMERA, title="box", save_as=tmp_path / "box")
    backend.move(START)
    yield backend
    assert backend.close(timeout_s=WAIT_S)


@pytest.fixture
def viewer(backend: WorldBackend) -> Iterator[Viewer]:
    viewer = Viewer(backend)
    yield viewer
    viewer.close()


def test_it_serves_its_page_to_this_machine(viewer: Viewer) -> None:
    assert viewer.url.startswith("http://localhost:")
    with urllib.request.urlopen(viewer.url, timeout=WAIT_S) as answer:
        assert b"<html" in answer.read()


def test_it_shows_elements_views_and_the_preview(viewer: Viewer, backend: WorldBackend) -> None:
    with ViewerPage(viewer.url, START) as page:
        elements = page.wait_for("PointCloudMessage", lambda m: m["name"] == "/elements/0")
        assert elements["props"]["point_size"] > 0
        wait_until(lambda: page.count("CameraFrustumMessage") >= len(VIEWS), "stored views")
        place = page.wait_for("SetPositionMessage", lambda m: m["name"] == "/views/1")
        assert place["position"] == pytest.approx(VIEWS[1].T_world_camera[:3, 3].tolist())
        wait_until(lambda: any("_data" in m.get("updates", {}) for m in page.messages), "a preview")


def test_a_drag_moves_the_camera_and_the_preview_follows(viewer: Viewer, backend: WorldBackend) -> None:
    with ViewerPage(viewer.url, START) as page:

        def previews() -> list[bytes]:
            return [m["updates"]["_data"] for m in list(page.messages) if "_data" in m.get("updates", {})]

        first = wait_until(previews, "a preview")[-1]
        page.look_from(ELSEWHERE)
        wait_until(lambda: looks_alike(backend.status().T_world_camera, ELSEWHERE), "the camera to move")
        wait_until(lambda: previews()[-1] != first, "another preview")


def test_where_it_is_sent_is_not_taken_for_a_drag(viewer: Viewer, backend: WorldBackend) -> None:
    with ViewerPage(viewer.url, ELSEWHERE) as page:
        sent = page.wait_for("SetCameraPositionMessage")
        assert sent["position"] == pytest.approx(START[:3, 3].tolist(), abs=1e-6)
        page.look_from(START)  # what a browser answers
        page.wait_for("PointCloudMessage")
        assert looks_alike(backend.status().T_world_camera, START)
        # Others move the camera: who has been still goes there.
        backend.move(ELSEWHERE)
        page.wait_for(
            "SetCameraPositionMessage",
            lambda m: m["position"] == pytest.approx(ELSEWHERE[:3, 3].tolist(), abs=1e-6),
        )


def test_a_click_at_a_stored_view_goes_there(viewer: Viewer, backend: WorldBackend) -> None:
    with ViewerPage(viewer.url, START) as page:
        frustum = page.wait_for("CameraFrustumMessage", lambda m: m["name"] == "/views/1")
        page.send(
            "SceneNodeClickMessage",
            name="/views/1",
            instance_index=None,
            ray_origin=(0.0, 0.0, 0.0),
            ray_direction=(1.0, 0.0, 0.0),
            screen_pos=(0.5, 0.5),
            modifier=None,
            owner=frustum.get("owner", ""),
        )
        wait_until(lambda: looks_alike(backend.status().T_world_camera, VIEWS[1].T_world_camera), "the camera there")
        page.wait_for(
            "SetCameraPositionMessage",
            lambda m: m["position"] == pytest.approx(VIEWS[1].T_world_camera[:3, 3].tolist(), abs=1e-6),
        )


def test_nonsense_of_one_page_is_not_shown_to_others(viewer: Viewer, backend: WorldBackend) -> None:
    with ViewerPage(viewer.url, START) as broken, ViewerPage(viewer.url, START) as page:
        for each in (broken, page):
            each.wait_for("PointCloudMessage")
        nan = float("nan")
        broken.send("ViewerCameraMessage", **{**camera_fields(START), "position": (nan, nan, nan)})
        page.says("cannot be used: pose is not finite")
        broken.send("ViewerCameraMessage", **{**camera_fields(START), "image_height": 0})
        page.says("cannot be used: float division by zero")
        page.look_from(ELSEWHERE)
        wait_until(lambda: looks_alike(backend.status().T_world_camera, ELSEWHERE), "the camera to move")
        page.set("Memory's picture", True)
        page.wait_for("BackgroundImageMessage", lambda m: m["rgb_data"] is not None)


def test_buttons_draw_take_back_and_save(viewer: Viewer, backend: WorldBackend, tmp_path: Path) -> None:
    with ViewerPage(viewer.url, START) as page:
        page.wait_for("PointCloudMessage")
        page.look_from(ELSEWHERE)
        wait_until(lambda: looks_alike(backend.status().T_world_camera, ELSEWHERE), "the camera to move")
        page.set("Generate", True)
        page.says("drew a view")
        assert backend.status().views == 4
        place = page.wait_for("SetPositionMessage", lambda m: m["name"] == "/views/3")
        assert place["position"] == pytest.approx(ELSEWHERE[:3, 3].tolist(), abs=1e-6)
        page.set("Undo", True)
        page.says("3 views remain")
        page.set("Save", True)
        page.says(f"saved {tmp_path / 'box'}")
        page.set("Save", True)
        page.says("exists: choose another name")


@pytest.mark.parametrize("backend", [1.0], indirect=True)
def test_a_view_in_work_can_be_cancelled(viewer: Viewer, backend: WorldBackend) -> None:
    with ViewerPage(viewer.url, START) as page:
        page.wait_for("PointCloudMessage")
        page.look_from(ELSEWHERE)
        wait_until(lambda: looks_alike(backend.status().T_world_camera, ELSEWHERE), "the camera to move")
        page.set("Generate", True)
        wait_until(lambda: backend.status().fraction is not None, "the view in work")
        page.set("Cancel", True)
        page.says("cancelled")
        assert backend.status().views == 3


def test_memorys_picture_fills_the_window(viewer: Viewer) -> None:
    with ViewerPage(viewer.url, START) as page:
        page.set("Memory's picture", True)
        page.wait_for("BackgroundImageMessage", lambda m: m["rgb_data"] is not None)
        page.set("Memory's picture", False)
        page.wait_for("BackgroundImageMessage", lambda m: m["rgb_data"] is None)


def test_colours_show_what_a_camera_saw(viewer: Viewer) -> None:
    with ViewerPage(viewer.url, START) as page:
        page.wait_for("PointCloudMessage", lambda m: m["name"] == "/elements/0")
        before = page.count("PointCloudMessage")
        page.set("Colours", "confidence")
        wait_until(lambda: page.count("PointCloudMessage") > before, "other colours")


@pytest.mark.parametrize("origin", ["http://evil.example", "http://evil.example:{port}", "null"])
def test_pages_of_other_sites_are_refused(viewer: Viewer, origin: str) -> None:
    port = viewer.url.rpartition(":")[2]
    with connection(viewer.url, origin=origin.format(port=port)) as page:
        with pytest.raises(ConnectionClosedError):
            list(page)  # until it is closed
        assert page.close_code == 1008


def test_its_own_page_is_not_refused(viewer: Viewer) -> None:
    with connection(viewer.url, origin=viewer.url) as page:
        assert page.recv(timeout=WAIT_S)


def test_nobody_can_share_it(viewer: Viewer, capfd: pytest.CaptureFixture[str]) -> None:
    with ViewerPage(viewer.url, START) as page:
        page.send("ShareUrlRequest")
        page.wait_for("PointCloudMessage")
        assert page.count("ShareUrlUpdated") == 0


def test_a_port_that_is_taken_is_named(backend: WorldBackend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ViewerError, match=f"port {port} of 127.0.0.1 cannot be had"):
            Viewer(backend, host="127.0.0.1", port=port)


def test_what_waits_for_a_page_that_never_reads_stays_bounded(viewer: Viewer, backend: WorldBackend) -> None:
    """The reader sees many pictures meanwhile, and the other one costs no more memory than its first."""
    server: viser.ViserServer = viewer._server

    def waiting() -> int:
        buffers = [server._websock_server._broadcast_buffer]
        buffers += [client.message_buffer for client in server._websock_server._client_state_from_id.values()]
        return sum(len(buffer.message_from_id) for buffer in buffers)

    with connection(viewer.url) as stuck, ViewerPage(viewer.url, START) as page:
        stuck.send(packed("ViewerCameraMessage", **camera_fields(START)))
        wait_until(lambda: len(server.get_clients()) == 2, "two pages")
        page.set("Memory's picture", True)
        most = []
        for turn in range(3):
            for step in range(10):
                shown = page.count("BackgroundImageMessage")
                page.look_from(look_at((0.1 * turn, 0.05 * step, 0.1), (3.0, 0.5, 0.0)))
                wait_until(lambda shown=shown: page.count("BackgroundImageMessage") > shown, "a picture")
            page.set("Generate", True)
            wait_until(lambda turn=turn: backend.status().views == 4 + turn, "a view")
            wait_until(lambda: backend.status().fraction is None, "the end of it")
            most.append(waiting())
        # A view more has a frustum of a few messages more.
        assert most[2] - most[0] <= 40
