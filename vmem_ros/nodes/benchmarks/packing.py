"""What it costs to make messages and to publish a frame."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import rclpy
import torch
from sensor_msgs.msg import Image, PointCloud2
from torch import Tensor

from vmem_ros.benchmarking.building import Building
from vmem_ros.benchmarking.result import BenchmarkResult, Budget, Figures, Row, Settings, median_ms
from vmem_ros.benchmarking.timing import Timing, measure
from vmem_ros.geometry import Camera
from vmem_ros.nodes.camera.camera_stream import CameraStream
from vmem_ros.nodes.camera.node import CameraNode
from vmem_ros.nodes.demo.run import environment
from vmem_ros.nodes.interface.names import PUBLISHED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import elements_to_message, header, image_to_message, map_to_message
from vmem_ros.types import Elements, Target
from vmem_ros.world import Frame, default_world

_SIDE, _FOV_DEG = 576, 75
_CLOUD = "camera/points"
_IMAGES = (
    "camera/image_raw",
    "camera/camera_info",
    "camera/depth/image_rect",
    "camera/depth/camera_info",
    "camera/confidence",
    "memory/retrieval",
)
# A camera takes longer than this between two frames; delivery goes on meanwhile.
_PAUSE_S = 0.05


def run(settings: Settings) -> BenchmarkResult:
    """Measure message packing beside the obvious way to do it, and the publishing of whole frames."""
    repeats = settings.pick(quick=2, normal=15)
    packing = Figures(
        "Message packing",
        _packing(repeats, points=settings.pick(quick=30_000, normal=300_000)),
        f"Median / 90th percentile in ms of {repeats} messages. array.array: vmem_ros.messages, "
        "from tensors to a message. NumPy: the same message with the same bytes assigned as a NumPy array.",
    )
    publishing = Figures(
        "Publishing a frame",
        _publishing(repeats),
        f"One generated view of {_SIDE} x {_SIDE}: transform, image, depth, confidence, two CameraInfo and the "
        "retrieval, packed and published by the camera node, after the frame before has arrived.",
    )
    budgets = [
        Budget(
            f"publish a {_SIDE} x {_SIDE} frame with its companions, {row['subscribers']}", 5, median_ms(row, "publish")
        )
        for row in publishing.rows
    ]
    return BenchmarkResult([packing, publishing], budgets)


def _packing(repeats: int, *, points: int) -> list[Row]:
    image = torch.randint(0, 256, (_SIDE, _SIDE, 3), dtype=torch.uint8)
    depth = torch.rand(_SIDE, _SIDE)
    cloud = Elements(
        position=torch.randn(points, 3),
        color=torch.randint(0, 256, (points, 3), dtype=torch.uint8),
        normal=torch.randn(points, 3),
        radius=torch.rand(points),
    )
    head = header("map", 0)
    return [
        _compared(f"Image {_SIDE} x {_SIDE} rgb8", lambda _: image_to_message(image, head), Image, image, repeats),
        _compared(f"Image {_SIDE} x {_SIDE} 32FC1", lambda _: map_to_message(depth, head), Image, depth, repeats),
        _compared(
            f"PointCloud2 of {points:,} surfels",
            lambda _: elements_to_message(cloud, head),
            PointCloud2,
            torch.rand(points, 8),
            repeats,
        ),
    ]


def _compared(name: str, pack: Callable[[object], object], kind: type, values: Tensor, repeats: int) -> Row:
    data = values.numpy().reshape(-1).view(np.uint8)
    ours = measure(pack, range(repeats + 1))
    theirs = measure(lambda _: kind(data=data), range(repeats + 1), limit_s=3.0)
    return {
        "message": name,
        "MB": data.nbytes / 1e6,
        "array.array": ours,
        "NumPy": theirs,
        "ratio": theirs.median_ms / ours.median_ms,
    }


def _publishing(repeats: int) -> list[Row]:
    frame, target = _frame()
    rows: list[Row] = []
    with _camera_stream() as (stream, node):
        for who, topics in (
            ("nobody subscribed", ()),
            ("images subscribed", _IMAGES),
            ("images and cloud subscribed", (*_IMAGES, _CLOUD)),
        ):
            with _subscribed(node, topics):
                rows.append({"subscribers": who, "publish": _publish(stream, frame, target, repeats)})
    return rows


@contextmanager
def _subscribed(node: CameraNode, topics: Sequence[str]) -> Iterator[None]:
    """Subscribe to topics of the node from a context of its own."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    listener = rclpy.create_node("vmem_bench_listener", namespace=node.get_namespace(), context=context)
    try:
        for name in topics:
            listener.create_subscription(PUBLISHED[name].type, name, lambda _: None, qos_profile("sensor"))
        while any(node.core.publishers[name].get_subscription_count() == 0 for name in topics):
            time.sleep(_PAUSE_S)
        yield
    finally:
        listener.destroy_node()
        rclpy.shutdown(context=context)


def _publish(stream: CameraStream, frame: Frame, target: Target, repeats: int) -> Timing:
    return measure(
        lambda _: stream.publish(frame, target, epoch=0), range(repeats + 1), afterwards=lambda: time.sleep(_PAUSE_S)
    )


def _frame() -> tuple[Frame, Target]:
    """Return a generated view and its target."""
    building, world = Building(), default_world()
    camera = Camera.from_fov(_SIDE, _SIDE, _FOV_DEG)
    world.observe(building.view(next(building.walk(camera))))
    target = building.ask(camera, 0)
    return next(world.explore([target], seed=0)), target


@contextmanager
def _camera_stream() -> Iterator[tuple[CameraStream, CameraNode]]:
    """Yield the stream of an active camera node in this process."""
    os.environ.update(environment())
    rclpy.init(args=["--ros-args", "--log-level", "error"])
    node = CameraNode()
    try:
        node.trigger_configure()
        node.trigger_activate()
        yield CameraStream(node.core), node
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
