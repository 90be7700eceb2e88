"""cv_bridge beside our own conversions, where it is installed; and what is said where it is not, or cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from vmem_ros.messages import color_decoding, cv_bridge_package
from vmem_ros.messages.cv_bridge_package import cv_bridge_source, find_cv_bridge
from vmem_ros.messages.encodings import COLOR_ENCODINGS
from vmem_ros.messages.images import image_from_message, image_to_message, map_to_message

needs_cv_bridge = pytest.mark.skipif(find_cv_bridge() is None, reason=cv_bridge_source())
RNG = np.random.default_rng(13)
SAMPLES = RNG.integers(0, 65536, (24, 32, 4)).astype(np.uint16)
#: What cv_bridge makes RGB of by itself.
THEIRS = sorted({e.bridge for e in COLOR_ENCODINGS.values() if e.bridge} | {"rgb8", "bgr8", "rgba8", "bgra8", "mono8"})


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("name", [n for n, e in COLOR_ENCODINGS.items() if e.bridge])
@needs_cv_bridge
def test_unusual_encodings_are_the_same_with_and_without(monkeypatch, name: str, big: bool) -> None:
    message = message_in(name, big=big)
    through_it = image_from_message(message)
    monkeypatch.setattr(color_decoding, "find_cv_bridge", lambda: None)
    np.testing.assert_array_equal(image_from_message(message), through_it)


@pytest.mark.parametrize("name", THEIRS)
@needs_cv_bridge
def test_every_encoding_means_what_it_means_there(monkeypatch, name: str) -> None:
    monkeypatch.setattr(color_decoding, "find_cv_bridge", lambda: None)
    message = message_in(name)
    np.testing.assert_array_equal(image_from_message(message), find_cv_bridge().imgmsg_to_cv2(message, "rgb8"))


@needs_cv_bridge
def test_it_reads_what_we_send(types, head) -> None:
    image, depth = SAMPLES[..., :3].astype(np.uint8), SAMPLES[..., 0].astype(np.float32)
    bridge = find_cv_bridge()
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(image_to_message(types, image, head), "bgr8"), image[..., ::-1])
    np.testing.assert_array_equal(bridge.imgmsg_to_cv2(map_to_message(types, depth, head)), depth)


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({}, "OpenCV (cv_bridge is not installed: apt install ros-<distro>-cv-bridge)"),
        # The port of ROS 1's on the package index.
        (
            {
                "cv_bridge/__init__.py": "class CvBridge: pass",
                "cv_bridge/boost/__init__.py": "",
                "cv_bridge/boost/cv_bridge_boost.py": "",
            },
            "OpenCV (this cv_bridge is not ROS 2's but a port of ROS 1's from the package index: pip uninstall",
        ),
        # Binaries that were built for another NumPy.
        (
            {"cv_bridge/__init__.py": "raise AttributeError('_ARRAY_API not found')"},
            "OpenCV (cv_bridge cannot be used: AttributeError: _ARRAY_API not found)",
        ),
    ],
)
def test_why_it_is_not_used(tmp_path: Path, monkeypatch, files: dict[str, str], text: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "cv_bridge"]:
        monkeypatch.delitem(sys.modules, name)
    if files:
        for name, content in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        monkeypatch.syspath_prepend(tmp_path)
    else:
        monkeypatch.setitem(sys.modules, "cv_bridge", None)
    cv_bridge_package._found.cache_clear()
    try:
        assert find_cv_bridge() is None
        assert cv_bridge_source().startswith(text)
        assert image_from_message(message_in("bayer_rggb8")).shape == (24, 32, 3)
    finally:
        cv_bridge_package._found.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "cv_bridge"]:
            del sys.modules[name]


def message_in(name: str, *, big: bool = False) -> SimpleNamespace:
    encoding = COLOR_ENCODINGS[name]
    samples = SAMPLES[..., : encoding.channels].astype(f"{'>' if big else '<'}{encoding.dtype}")
    rows = np.ascontiguousarray(samples).view(np.uint8).reshape(24, -1)
    return SimpleNamespace(
        height=24, width=32, encoding=name, is_bigendian=int(big), step=rows.shape[1], data=rows.tobytes()
    )
