"""Where a world file may lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmem_ros.errors import WorldFileError
from vmem_ros.nodes.camera.world_paths import world_path


@pytest.mark.parametrize("url", ["house", "a/b", "file://{root}/house", "{root}/house", "a/../house", "a b"])
def test_below_the_root(tmp_path: Path, url: str) -> None:
    found = world_path(str(tmp_path), url.format(root=tmp_path))
    assert tmp_path.resolve() in found.parents


def test_percent_escapes_of_urls(tmp_path: Path) -> None:
    assert world_path(str(tmp_path), f"file://{tmp_path}/a%20b") == tmp_path.resolve() / "a b"


@pytest.mark.parametrize(
    "url",
    ["../other", "/etc/passwd", "file:///etc/passwd", "file://{root}/%2e%2e/other", ".", "", "a/../..", "a\0b"],
)
def test_elsewhere_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(WorldFileError, match=r"world\.root|is no path"):
        world_path(str(tmp_path), url.format(root=tmp_path))


@pytest.mark.parametrize("url", ["http://example.org/house", "file://example.org/house", "package://x/house"])
def test_other_machines_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(WorldFileError, match="on this machine"):
        world_path(str(tmp_path), url)


def test_links_out_of_the_root_are_refused(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to(tmp_path)
    with pytest.raises(WorldFileError, match=r"world\.root"):
        world_path(str(tmp_path / "root"), "link/house")
