"""The recorder hears what the camera hears."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from geometry_msgs.msg import Twist, TwistStamped
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from harness import ROOT, Probe
from vmem_ros.nodes.interface.delivery import wait_until_received
from vmem_ros.nodes.interface.names import qos_profile
from vmem_ros.nodes.tools.processes import Processes
from waiting import WAIT_S


def fly(kind: Any, speed: float) -> None:
    """Send a velocity, as a process of its own does, once the recorder hears that type."""
    pilot = Probe(name="pilot")
    try:
        publisher = pilot.publisher("cmd_vel", kind, qos_profile("command"))
        message = kind()
        getattr(message, "twist", message).linear.x = speed
        publisher.publish(message)
        wait_until_received({"cmd_vel": publisher}, timeout_s=WAIT_S)
    finally:
        pilot.close()


def test_velocities_of_either_type_are_recorded(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    with Processes(environment, log_folder=tmp_path / "logs") as processes:
        recorder = processes.start(
            "tools.recorder", ["--out", str(tmp_path / "bag"), "--ros-args", "-r", "__ns:=/vmem"]
        )
        for kind, speed in ((Twist, 0.25), (TwistStamped, 0.5), (Twist, 0.75)):
            fly(kind, speed)
        recorder.popen.send_signal(signal.SIGINT)
        assert recorder.popen.wait(WAIT_S) == 0
    types = get_typestore(Stores.ROS2_JAZZY)
    recorded = []
    with Reader(tmp_path / "bag") as bag:
        for connection, _, data in bag.messages():
            if connection.topic == "/vmem/cmd_vel":
                message = types.deserialize_cdr(data, connection.msgtype)
                recorded.append((connection.msgtype, getattr(message, "twist", message).linear.x))
    one, other = "geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped"
    assert recorded == [(one, 0.25), (other, 0.5), (one, 0.75)]
