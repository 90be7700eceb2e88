"""A camera node in a process of its own, for as long as something is measured."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.demo.run import environment
from vmem_ros.nodes.interface.names import NAMESPACE
from vmem_ros.nodes.tools.processes import Process, Processes

_LIMIT_S = 120.0


def start_camera(processes: Processes, folder: Path, parameters: Mapping[str, Any]) -> Process:
    """Start a camera node that logs into a folder and keeps its worlds there.

    :param parameters: of the node, beside ``world.root``.
    """
    values = {"world.root": folder / "worlds", **parameters}
    ros = ["--ros-args", "-r", f"__ns:=/{NAMESPACE}"]
    ros += [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]
    return processes.start("camera", ros, log=True)


@contextmanager
def running_camera(folder: Path, parameters: Mapping[str, Any]) -> Iterator[CameraClient]:
    """Yield a client of a camera node that draws by reprojection, in a domain of its own on this machine.

    :param folder: for its log and its worlds.
    :param parameters: of the node.
    """
    os.environ.update(environment())
    with Processes(os.environ, log_folder=folder) as processes:
        start_camera(processes, folder, {"engine": "reprojection", **parameters})
        with CameraClient() as client:
            client.wait_until_ready(timeout_s=_LIMIT_S)
            yield client
