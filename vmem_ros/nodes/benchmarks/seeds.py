"""How much of a camera's drive reaches the memory, by the DDS settings of its driver and by transport."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from tqdm import tqdm

from vmem_ros.benchmarking.result import BenchmarkResult, Figures, Row, Settings
from vmem_ros.errors import VmemError
from vmem_ros.nodes.benchmarks.driver import FRAMES_PER_VIEW, RATE_HZ, VIEW_M
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.demo.run import environment
from vmem_ros.nodes.interface.names import NAMESPACE
from vmem_ros.nodes.tools.processes import Processes, ProcessFailedError

_SIZES = ((640, 480), (1280, 720))
_LIMIT_S, _SETTLE_S = 180.0, 1.5
_PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
_WARNINGS = ("frames are lost on their way", "nothing of it arrives")


@dataclass(frozen=True)
class Way:
    """How images come from the driver to the node.

    :param driver: file of this package's ``config`` with the DDS settings of the driver; empty: the defaults.
    :param node: likewise of the node.
    """

    words: str
    driver: str = ""
    node: str = "fastdds.xml"
    compressed: bool = False


#: The ways that are compared.
WAYS = (
    Way("driver on defaults"),
    Way("driver started by driver.launch.xml", driver="fastdds.xml"),
    Way("driver on defaults, seed.transport: compressed", compressed=True),
    Way("driver on defaults, node with fastdds_udp.xml", node="fastdds_udp.xml"),
)


def run(settings: Settings) -> BenchmarkResult:
    """Drive past the node in every way, in a domain of their own that never leaves this machine."""
    views = settings.pick(quick=3, normal=30)
    rows = [(way, size, reliable) for size in _SIZES for reliable in (False, True) for way in WAYS]
    rows = settings.pick(quick=rows[1:3], normal=rows)
    os.environ.update(environment())
    with tempfile.TemporaryDirectory(prefix="vmem_bench_") as folder:
        try:
            figures = [
                drive(way, size, reliable=reliable, views=views, folder=Path(folder))
                for way, size, reliable in tqdm(rows, desc="drives", unit="drive")
            ]
        except ProcessFailedError as error:
            raise VmemError(f"{error}") from error
    note = (
        f"Views in memory after a drive of {views * VIEW_M:g} m at {RATE_HZ:g} Hz, {FRAMES_PER_VIEW} frames a view, a "
        "view every 0.2 m; colour rgb8 and depth 32FC1, or JPEG and compressedDepth (16UC1 as PNG). Driver and node "
        "are processes of their own; engine reprojection, everything else as shipped."
    )
    return BenchmarkResult([Figures("What reaches the memory of a camera's drive", figures, note)])


def drive(way: Way, size: tuple[int, int], *, reliable: bool, views: int, folder: Path) -> Row:
    """Return what came of one drive.

    :param folder: for logs.
    """
    width, height = size
    parameters = {
        "engine": "reprojection",
        "seed.pose_source": "topic",
        "seed.transport": "compressed" if way.compressed else "raw",
        "world.root": folder / "worlds",
    }
    ros = ["--ros-args", "-r", f"__ns:=/{NAMESPACE}"]
    ros += [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    options = ["--width", str(width), "--height", str(height), "--views", str(views)]
    options += [*([] if reliable else ["--best-effort"]), *(["--compressed"] if way.compressed else [])]
    with (
        Processes(_settings(way.node), log_folder=folder) as nodes,
        Processes(_settings(way.driver), log_folder=folder) as drivers,
    ):
        node = nodes.start("camera", ros, log=True)
        with CameraClient() as client:
            client.wait_until_ready(timeout_s=_LIMIT_S)
            driver = drivers.start("benchmarks.driver", options, log=True)
            drivers.wait_for(driver, beside=(node,), limit_s=_LIMIT_S)
            time.sleep(_SETTLE_S)
            stored = client.wait_for(lambda status: True).stored_views
        assert node.log is not None, "its messages go to a file"
        log = node.log.read_text(encoding="utf-8")
    return {
        "size": f"{width} x {height}",
        "publisher": "reliable" if reliable else "best effort",
        "how": way.words,
        "views": f"{stored} of {views}",
        "told of lost frames": "yes" if any(warning in log for warning in _WARNINGS) else "no",
    }


def _settings(profile: str) -> Mapping[str, str]:
    """Return the environment of a process with a profile of this package, or with none."""
    out = {k: v for k, v in environment().items() if k not in _PROFILES}
    path = str(Path(get_package_share_directory("vmem_ros")) / "config" / profile)
    return {**out, **dict.fromkeys(_PROFILES, path)} if profile else out
