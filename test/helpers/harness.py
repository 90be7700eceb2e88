"""A camera node in a process of its own, and a probe that sees it as any other ROS node does."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
import torch
from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.client import Client
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.topic_endpoint_info import TopicEndpointInfo

from rooms import box_view
from vmem_ros.geometry import Camera, look_at
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.action_client import ThreadSafeActionClient
from vmem_ros.nodes.interface.names import NODE_NAME
from vmem_ros.nodes.interface.rclpy_messages import header, pose_to_message
from vmem_ros.types import View
from waiting import WAIT_S, wait_until

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CAMERA = Camera.from_fov(96, 72, 80)
SLOW = "slow_engine:create"
#: Small pictures and no network, so that a test waits for ROS and not for arithmetic.
SMALL = {
    "engine": "reprojection",
    "camera.width": 96,
    "camera.height": 72,
    "camera.fov_deg": 80.0,
    "camera.chunk": 2,
    "preview.rate_hz": 20.0,
}


def pose_at(
    x: float, y: float = 0.0, *, z: float = 0.0, look: tuple[float, float, float] = (3.0, 0.0, 0.0)
) -> torch.Tensor:
    """Return ``T_world_camera`` in the box room of :mod:`rooms`."""
    return look_at((x, y, z), look)


def seen_from(T_world_camera: torch.Tensor, camera: Camera = CAMERA) -> View:
    """Return what is really to be seen from a pose."""
    return box_view(camera, T_world_camera)


def stamped(T_world_camera: torch.Tensor, *, frame: str = "map", stamp_ns: int = 0) -> PoseStamped:
    """Return the link's pose of a camera's pose."""
    return PoseStamped(header=header(frame, stamp_ns), pose=pose_to_message(link_from_camera(T_world_camera)))


def add_truth(client: CameraClient, *poses: torch.Tensor) -> None:
    """Show the room to the node from some poses."""
    for T in poses:
        view = seen_from(T)
        assert view.depth is not None
        client.add_view(view.image.numpy(), view.camera, T, depth=view.depth.numpy())


class CameraProcess:
    """``python -m vmem_ros.nodes.camera`` with parameters.

    :param python_path: folders of packages that only this process finds.
    """

    def __init__(
        self,
        log: Path,
        parameters: dict[str, Any] | None = None,
        *,
        ros_args: Sequence[str] = (),
        python_path: Sequence[Path] = (),
    ) -> None:
        values = {**SMALL, **(parameters or {})}
        settings = [part for name, value in values.items() for part in ("-p", f"{name}:={_yaml(value)}")]
        path = os.pathsep.join(map(str, filter(None, [ROOT, HERE, *python_path, os.environ.get("PYTHONPATH")])))
        self._log = log
        with log.open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vmem_ros.nodes.camera", "--ros-args", *settings, *ros_args],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            )

    @property
    def log(self) -> str:
        """What the process has printed."""
        return self._log.read_text()

    def stop(self, with_signal: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit status."""
        self.process.send_signal(with_signal)
        return self.wait()

    def wait(self) -> int:
        """Return the exit status."""
        try:
            return self.process.wait(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the node did not stop:\n{self.log}") from None

    def __enter__(self) -> CameraProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self.process.poll() is None:
            code = self.stop()
            if kind is None:
                assert code == 0, self.log
                assert "Traceback" not in self.log, self.log


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shortened(value: object, limit: int = 500) -> str:
    text = str(value)
    return text if len(text) <= limit else f"{text[:limit]} ..."


class Inbox:
    """Messages of one topic, in order."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def wait(self, condition: Callable[[Any], bool] = lambda _: True, *, what: str = "a message") -> Any:
        """Return the first message that fulfils a condition."""
        return wait_until(
            lambda: next((m for m in list(self.messages) if condition(m)), None),
            what,
            seen=lambda: f"{len(self.messages)} messages, the newest: {_shortened(self.messages[-1:])}",
        )


class Probe:
    """A ROS node with its own context and thread."""

    def __init__(self, namespace: str = "vmem", *, name: str = "probe") -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(name, namespace=namespace, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._parameters: Client | None = None
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def listen(self, name: str, message_type: Any, qos: QoSProfile) -> Inbox:
        """Subscribe, and wait until the publisher is found."""
        inbox = Inbox()
        subscription = self.node.create_subscription(message_type, name, inbox.messages.append, qos)
        self._executor.wake()
        wait_until(lambda: self.node.count_publishers(subscription.topic_name), f"a publisher of {name}")
        return inbox

    def publisher(self, name: str, message_type: Any, qos: QoSProfile) -> Any:
        """Return a publisher that has found its subscriber."""
        publisher = self.node.create_publisher(message_type, name, qos)
        wait_until(publisher.get_subscription_count, f"a subscriber of {name}")
        return publisher

    def client(self, name: str, service_type: Any) -> Client:
        """Return a client that has found its service."""
        client = self.node.create_client(service_type, name)
        self._executor.wake()
        assert client.wait_for_service(timeout_sec=WAIT_S), name
        self._be_known()
        return client

    def action(self, name: str, action_type: Any) -> ThreadSafeActionClient:
        """Return an action client that has found its server."""
        client = ThreadSafeActionClient(self.node, action_type, name, feedback_sub_qos_profile=QoSProfile(depth=100))
        self._executor.wake()
        assert client.wait_for_server(timeout_sec=WAIT_S), name
        self._be_known()
        return client

    def _be_known(self) -> None:
        """Wait until the camera node knows every client made so far.

        A client sees a service before the service sees the client, and an answer sent in between is lost. Endpoints
        become known in the order in which they were made, so an answer to a later client settles it for all.
        """
        latest = self.node.create_client(GetParameters, f"/vmem/{NODE_NAME}/get_parameters")
        self._executor.wake()
        assert latest.wait_for_service(timeout_sec=WAIT_S)
        requests = []

        def answered() -> bool:
            requests.append(latest.call_async(GetParameters.Request()))
            with contextlib.suppress(AssertionError):
                wait_until(lambda: any(future.done() for future in requests), "an answer", timeout_s=1.0)
            return any(future.done() for future in requests)

        wait_until(answered, "the camera node to know the probe")

    def set_parameter(self, name: str, value: object) -> None:
        """Set a parameter of the camera node."""
        result = self.try_parameter(name, value)
        assert result.successful, result.reason

    def try_parameter(self, name: str, value: object) -> SetParametersResult:
        """Ask the camera node to set a parameter, and return what it says."""
        if self._parameters is None:
            self._parameters = self.client(f"/vmem/{NODE_NAME}/set_parameters", SetParameters)
        message = Parameter(name, value=value).to_parameter_msg()
        return self.call(self._parameters, SetParameters.Request(parameters=[message])).results[0]

    def publisher_info(self, name: str, node_name: str = NODE_NAME) -> TopicEndpointInfo:
        """Return how a node publishes a topic, once the graph knows it."""
        return self._endpoint(self.node.get_publishers_info_by_topic, name, node_name)

    def subscription_info(self, name: str, node_name: str = NODE_NAME) -> TopicEndpointInfo:
        """Return how a node subscribes to a topic, once the graph knows it."""
        return self._endpoint(self.node.get_subscriptions_info_by_topic, name, node_name)

    def _endpoint(self, find: Callable[[str], list[TopicEndpointInfo]], name: str, node_name: str) -> TopicEndpointInfo:
        # Nodes become known later than their topics: until then they have another name.
        (found,) = wait_until(
            lambda: [info for info in find(name) if info.node_name == node_name],
            f"{name} of {node_name} in the graph",
            seen=lambda: [info.node_name for info in find(name)],
        )
        return found

    def call(self, client: Client, request: Any) -> Any:
        """Return the response to a request."""
        future = client.call_async(request)
        wait_until(future.done, f"an answer of {client.srv_name}")
        return future.result()

    def close(self) -> None:
        """Leave ROS."""
        self._executor.shutdown()
        self._thread.join()
        self.node.destroy_node()
        self.context.try_shutdown()


def psnr(a: np.ndarray, b: Any) -> float:
    """Return the peak signal-to-noise ratio of uint8 images in dB."""
    error = np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")
