"""The viewer in a real browser: its page loads without complaint, and mouse, keys and buttons do what they say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chromium import Page, needs_chromium
from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.viewer.flight import looks_alike
from vmem_ros.viewer.viewer import Viewer
from vmem_ros.viewer.world_backend import WorldBackend
from vmem_ros.world import default_world
from waiting import WAIT_S, wait_until

# A busy machine without a graphics card takes seconds for a picture.
pytestmark = [needs_chromium, pytest.mark.slow, pytest.mark.timeout(600)]
CAMERA = Camera.from_fov(64, 48, 80)
VIEWS = [box_view(CAMERA, T) for T in orbit(3)]


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[WorldBackend]:
    world = default_world()
    for view in VIEWS:
        world.observe(view)
    backend = WorldBackend(world, CAMERA, title="box", save_as=tmp_path / "box")
    backend.move(VIEWS[0].T_world_camera)
    yield backend
    assert backend.close(timeout_s=WAIT_S)


def test_a_page_is_flown_and_draws(backend: WorldBackend, tmp_path: Path) -> None:
    viewer = Viewer(backend)
    try:
        with Page(viewer.url, tmp_path, width=640, height=480) as page:
            wait_until(lambda: "engine reprojection" in page.text(), "the panel", seen=page.text)
            wait_until(lambda: page.evaluate("document.querySelectorAll('canvas').length"), "the scene")
            start = backend.status().T_world_camera
            before = page.screenshot()
            page.drag((100, 240), (180, 260), steps=3)
            wait_until(lambda: not looks_alike(backend.status().T_world_camera, start), "the drag to move the camera")
            wait_until(lambda: page.screenshot() != before, "another picture")
            dragged = backend.status().T_world_camera
            with page.holding_key("w"):
                wait_until(lambda: not looks_alike(backend.status().T_world_camera, dragged), "the key to move it")
            page.click_button("Generate")
            wait_until(lambda: "drew a view" in page.text(), "the view", seen=page.text)
            assert backend.status().views == 4
            page.click_button("Undo")
            wait_until(lambda: "3 views remain" in page.text(), "the undo", seen=page.text)
            assert page.complaints == []
    finally:
        viewer.close()
