"""``vmem view`` as a user starts it: saved worlds, recordings and houses in the browser, until Ctrl-C."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from recorded import walk
from rooms import box_view, orbit
from viewer_page import ViewerPage
from vmem_ros.cli import main
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.recordings.posed_folder_writer import write_posed_folder
from vmem_ros.world import default_world
from waiting import WAIT_S, wait_until

CAMERA = Camera.from_fov(64, 48, 80)
VIEWS = [box_view(CAMERA, T) for T in orbit(3)]
REPROJECTION = ("--engine", "reprojection")


@contextmanager
def viewing(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    """Start the command, and give the address that it prints; in the end Ctrl-C."""
    log = folder / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "vmem_ros.cli", "view", "--port", "0", *arguments],
            cwd=folder,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(
            lambda: "http://" in log.read_text() or process.poll() is not None, "its address", seen=log.read_text
        )
        found = re.search(r"http://\S+", log.read_text())
        assert found is not None, log.read_text()
        yield found[0]
    finally:
        process.send_signal(signal.SIGINT)
        try:
            status = process.wait(WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert status == 0, log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("kind", ["surfel", "points"])
def test_a_saved_world(tmp_path: Path, kind: str) -> None:
    """Of any kind of the package: the file says which."""
    world = default_world(memory=load_memory(kind))
    for view in VIEWS:
        world.observe(view)
    world.save(tmp_path / "box")
    with viewing(["box", *REPROJECTION], tmp_path) as url, ViewerPage(url, VIEWS[0].T_world_camera) as page:
        wait_until(lambda: page.count("CameraFrustumMessage") >= 3, "its views")
        page.look_from(VIEWS[1].T_world_camera)
        page.set("Replace a file", True)
        page.set("Save", True)
        page.says("saved box")


def test_a_recording(tmp_path: Path) -> None:
    write_posed_folder(tmp_path / "walk", walk(4))
    with viewing(["--recording", "walk", *REPROJECTION], tmp_path) as url, ViewerPage(url, orbit(1)[0]) as page:
        wait_until(lambda: page.count("CameraFrustumMessage") >= 4, "its frames")
        page.says("remembered 4 frames")


@pytest.mark.slow
def test_a_house(tmp_path: Path) -> None:
    options = ["--house", "1000001", "--stops", "2", "--width", "96", *REPROJECTION]
    with viewing(options, tmp_path) as url, ViewerPage(url, orbit(1)[0]) as page:
        page.says("remembered 6 frames")


def test_what_cannot_be_shown_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["view", str(tmp_path / "none")]) == 1
    assert "is not a file: save a world there first" in capsys.readouterr().err
    (tmp_path / "text").write_text("no world")
    assert main(["view", str(tmp_path / "text")]) == 1
    assert "is no complete world file" in capsys.readouterr().err


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "viser", None)
    for name in [name for name in sys.modules if name.startswith("vmem_ros.viewer.")]:
        monkeypatch.delitem(sys.modules, name)
    assert main(["view", "--house", "1000001"]) == 1
    assert "needs viser, which is not installed: pip install viser" in capsys.readouterr().err
