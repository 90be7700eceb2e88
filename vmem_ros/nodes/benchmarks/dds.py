"""Latencies between processes over DDS: of an image with and without the shipped profile, and of the camera node."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image
from torch import Tensor
from tqdm import tqdm

from vmem_ros.benchmarking.building import Building
from vmem_ros.benchmarking.result import BenchmarkResult, Figures, Row, Settings
from vmem_ros.benchmarking.timing import Timing, measure
from vmem_ros.errors import VmemError
from vmem_ros.geometry import Camera
from vmem_ros.messages.images import image_from_message
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.benchmarks.running_camera import running_camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.topic_reader import TopicReader
from vmem_ros.nodes.demo.run import environment
from vmem_ros.nodes.tools.processes import Processes, ProcessFailedError

_SIDE, _FOV_DEG = 576, 75
_LINK_HZ, _PREVIEW_HZ = 20, 30
_LIMIT_S = 120.0
_PREVIEW = "preview/image_raw"
_PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")


def run(settings: Settings) -> BenchmarkResult:
    """Measure both, in a domain of their own that never leaves this machine."""
    with tempfile.TemporaryDirectory(prefix="vmem_bench_") as folder:
        try:
            links = _links(settings, Path(folder))
            camera = _camera(settings, Path(folder))
        except ProcessFailedError as error:
            raise VmemError(f"{error}") from error
    return BenchmarkResult([links, camera])


# -- one image between two processes -----------------------------------------------------------------------------------
def _links(settings: Settings, folder: Path) -> Figures:
    images = settings.pick(quick=5, normal=40)
    shipped = environment()
    plain = {k: v for k, v in shipped.items() if k not in _PROFILES}
    kinds = [
        (name, env, best_effort)
        for name, env in (("Fast DDS default", plain), ("config/fastdds.xml", shipped))
        for best_effort in (False, True)
    ]
    kinds = settings.pick(quick=kinds[-1:], normal=kinds)
    rows = [
        _link(name, env, best_effort=best_effort, images=images, folder=folder)
        for name, env, best_effort in tqdm(kinds, desc="links", unit="link")
    ]
    return Figures(
        f"A {_SIDE} x {_SIDE} image from process to process",
        rows,
        f"Median / 90th percentile in ms from publish() to the callback of a single-threaded executor; {images} rgb8 "
        f"images ({_SIDE * _SIDE * 3 / 1e6:.2f} MB) at {_LINK_HZ} Hz from a reliable publisher.",
    )


def _link(name: str, env: Mapping[str, str], *, best_effort: bool, images: int, folder: Path) -> Row:
    out = folder / "latencies.json"
    options = ["--images", str(images), "--side", str(_SIDE), "--rate", str(_LINK_HZ)]
    with Processes(env, log_folder=folder) as processes:
        receiving = ["receive", *options, "--out", str(out), *(["--best-effort"] if best_effort else [])]
        receiver = processes.start("benchmarks.link", receiving)
        sender = processes.start("benchmarks.link", ["send", *options])
        processes.wait_for(sender, beside=(), limit_s=_LIMIT_S)
        processes.wait_for(receiver, beside=(), limit_s=_LIMIT_S)
    latencies = json.loads(out.read_text(encoding="utf-8"))
    return {
        "profile": name,
        "subscriber": "best effort" if best_effort else "reliable",
        "latency": Timing(tuple(latencies)) if latencies else "-",
        "received": f"{len(latencies)} of {images}",
    }


# -- the camera node ---------------------------------------------------------------------------------------------------
def _camera(settings: Settings, folder: Path) -> Figures:
    views = settings.pick(quick=2, normal=16)
    repeats = settings.pick(quick=2, normal=15)
    building, lens = Building(), Camera.from_fov(_SIDE, _SIDE, _FOV_DEG)
    poses = [building.ask(lens, i % views).T_world_camera for i in range(repeats + 1)]
    parameters = {
        "camera.width": _SIDE,
        "camera.height": _SIDE,
        "camera.fov_deg": float(_FOV_DEG),
        "preview.rate_hz": float(_PREVIEW_HZ),
        "reuse_views": "false",
    }
    with running_camera(folder, parameters) as client:
        for target in tqdm(islice(building.walk(lens), views), total=views, desc="seeding", unit="view", leave=False):
            view = building.view(target)
            assert view.depth is not None, "the building knows its depth"
            client.add_view(view.image.numpy(), lens, target.T_world_camera, depth=view.depth.numpy())
        with tqdm(total=4, desc="camera", unit="call") as bar:
            times: dict[str, Timing] = {}
            times["render service: image, depth, confidence"] = measure(client.render, poses)
            bar.update()
            times["render service: figures only"] = measure(lambda T: client.render(T, images=False), poses)
            bar.update()
            times["pose published until preview received"], rate = _previews(client, poses, settings)
            bar.update()
            times["capture: pose until generated view received"] = measure(client.capture, poses)
            bar.update()
    half = _SIDE // 2
    rows: list[Row] = [{"from the client's process": what, "latency": timing} for what, timing in times.items()]
    return Figures(
        "Camera node, from another process",
        rows,
        f"Median / 90th percentile in ms. {views} stored views of {_SIDE} x {_SIDE}; previews and renderings "
        f"{half} x {half}, generated views {_SIDE} x {_SIDE} by reprojection. Previews were asked for at "
        f"{_PREVIEW_HZ} Hz and came at {rate:.1f} Hz.",
    )


def _previews(client: CameraClient, poses: list[Tensor], settings: Settings) -> tuple[Timing, float]:
    """Return how long a preview takes to follow the pose, and how many come a second while the camera rests."""
    # Two poses with different pictures: a preview is of the new pose when it is more like that one's.
    pair = poses[0], poses[1]
    pictures = [_rendered(client, pose) for pose in pair]
    with TopicReader(_PREVIEW) as reader:

        def follow(number: int) -> None:
            client.move_to(pair[number % 2])
            new, old = pictures[number % 2], pictures[1 - number % 2]
            reader.wait_for(_PREVIEW, lambda m: _distance(m, new) < _distance(m, old), timeout_s=_LIMIT_S)

        timing = measure(follow, range(len(poses)))
        stamps: list[Time] = []
        while len(stamps) < settings.pick(quick=3, normal=60):
            image = reader.wait_for(_PREVIEW, lambda m: m.header.stamp not in stamps[-1:], timeout_s=_LIMIT_S)
            stamps.append(image.header.stamp)
    seconds = (stamp_to_ns(stamps[-1]) - stamp_to_ns(stamps[0])) / 1e9
    return timing, (len(stamps) - 1) / seconds


def _rendered(client: CameraClient, pose: Tensor) -> np.ndarray:
    image = client.render(pose).image
    assert image is not None, "images were asked for"
    return image.astype(np.float32)


def _distance(message: Image, picture: np.ndarray) -> float:
    return float(np.abs(image_from_message(message) - picture).mean())
