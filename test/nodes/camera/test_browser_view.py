"""The node's world in the browser: one world for ROS and pages, and a page that never reads slows nobody."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import CAMERA, SLOW, CameraProcess, add_truth, pose_at
from viewer_page import ViewerPage, camera_fields, connection, packed
from vmem_ros.nodes.client import CameraClient
from waiting import WAIT_S, wait_until


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def camera(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraProcess]:
    folder = tmp_path_factory.mktemp("browser")
    parameters = {"engine": SLOW, "viewer.port": port, "world.root": folder / "worlds", "memory.publish_rate_hz": 10.0}
    with CameraProcess(folder / "camera.log", parameters) as process:
        yield process


@pytest.fixture
def client(camera: CameraProcess) -> Iterator[CameraClient]:
    with CameraClient() as client:
        client.wait_until_ready()
        client.reset()
        add_truth(client, pose_at(-1.0), pose_at(-0.5, 0.4))
        yield client


@pytest.fixture
def url(port: int) -> str:
    return f"http://localhost:{port}"


def test_a_page_sees_and_changes_the_world_of_the_node(client: CameraClient, url: str, camera: CameraProcess) -> None:
    with ViewerPage(url, pose_at(0.0)) as page:
        page.wait_for("PointCloudMessage", lambda m: m["name"] == "/elements/0")
        page.look_from(pose_at(-0.2, 0.1))

        def draws_there() -> bool:
            before = client.latest()
            page.set("Generate", True)
            view = wait_until(lambda: (new := client.latest()) is not before and new, "a view")
            return abs(float(view.T_world_camera[0, 3]) + 0.2) < 0.01

        wait_until(draws_there, "a view from where the page looks")
        page.says("drew a view")
        stored = client.wait_for(lambda s: s.stored_views > 2).stored_views
        page.set("Save", True)
        page.says("saved")
        page.set("Undo", True)
        page.says(f"{stored - 1} views remain")
        client.wait_for(lambda s: s.stored_views == stored - 1)
    assert url in camera.log


def test_a_drag_moves_the_nodes_camera(client: CameraClient, url: str) -> None:
    with ViewerPage(url, pose_at(0.0)) as page:
        page.wait_for("PointCloudMessage")
        page.look_from(pose_at(0.3, 0.2))

        def captured_there() -> bool:
            view = client.capture()
            return abs(float(view.T_world_camera[0, 3]) - 0.3) < 0.01

        wait_until(captured_there, "a view from where the page looks")


def test_what_a_page_asks_for_can_be_cancelled(client: CameraClient, url: str) -> None:
    with ViewerPage(url, pose_at(0.0)) as page:
        page.wait_for("PointCloudMessage")
        page.look_from(pose_at(0.1, 0.1))
        client.pause()
        for number in range(3):
            page.set("Generate", True)
            client.wait_for(lambda s, number=number: s.queued == number + 1)
        page.set("Cancel", True)
        page.says("cancelled")
        client.wait_for(lambda s: s.queued == 0)
        client.pause(False)
        page.set("Generate", True)
        page.says("drew a view")


def test_a_page_that_never_reads_slows_no_call(client: CameraClient, url: str) -> None:
    """Calls beside pages that ask for a picture and never take it, against calls beside none, in turns."""
    target = pose_at(-0.3)

    def seconds_of(call: Callable[[], object], count: int = 40) -> float:
        began = time.perf_counter()
        for _ in range(count):
            call()
        return (time.perf_counter() - began) / count

    def render() -> object:
        return client.render(target, camera=CAMERA, images=False)

    with ViewerPage(url, pose_at(0.0)) as page:
        page.set("Memory's picture", True)
        page.wait_for("BackgroundImageMessage")
    alone, beside = [], []
    for _ in range(3):
        alone.append(seconds_of(render))
        stuck = [connection(url) for _ in range(4)]
        try:
            for each in stuck:
                each.send(packed("ViewerCameraMessage", **camera_fields(pose_at(0.0))))
            for number in range(20):
                stuck[0].send(packed("ViewerCameraMessage", **camera_fields(pose_at(0.0, 0.01 * number))))
            beside.append(seconds_of(render))
            assert client.capture(pose_at(-0.1, 0.05 * len(beside))).image.shape == (72, 96, 3)
        finally:
            for each in stuck:
                each.socket.close()
    # A stuck executor would not answer at all; what is allowed is what four pages' pictures take of a busy machine.
    assert min(beside) < 10 * min(alone) + 0.05


def test_a_port_that_is_taken_is_named_at_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        values = {"viewer.port": port, "viewer.host": "127.0.0.1"}
        process = CameraProcess(tmp_path / "log", values, ros_args=["-r", "__ns:=/other"])
        assert process.wait() == 2
    assert f"cannot start: port {port} of 127.0.0.1 cannot be had" in process.log


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    package = tmp_path / "path" / "viser"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ModuleNotFoundError('no', name='viser')\n")
    process = CameraProcess(
        tmp_path / "log", {"viewer.port": free_port()}, ros_args=["-r", "__ns:=/other"], python_path=[tmp_path / "path"]
    )
    assert process.wait() == 2
    assert "viewer.port needs viser, which is not installed: pip install viser" in process.log
    assert "vmem_ros[viewer]" in process.log


def test_it_stops_with_a_page_that_never_reads(tmp_path: Path) -> None:
    port = free_port()
    with CameraProcess(tmp_path / "log", {"viewer.port": port}, ros_args=["-r", "__ns:=/other"]) as process:
        wait_until(lambda: "ready: engine" in process.log, "the node", seen=lambda: process.log)
        with connection(f"http://localhost:{port}") as stuck:
            stuck.send(packed("ViewerCameraMessage", **camera_fields(pose_at(0.0))))
            began = time.monotonic()
            assert process.stop() == 0
            assert time.monotonic() - began < WAIT_S / 2
