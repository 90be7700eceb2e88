"""Time that a test sets, as a simulator does."""

from __future__ import annotations

from rosgraph_msgs.msg import Clock

from harness import Probe
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME, PUBLISHED, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import ns_to_stamp
from waiting import wait_until


class SimulatedTime:
    """Publishes /clock to a camera node and its client."""

    def __init__(self, probe: Probe, client: CameraClient) -> None:
        self._client = client
        self._clock = probe.publisher("/clock", Clock, qos_profile("events"))
        wait_until(lambda: self._clock.get_subscription_count() >= 2, "both clocks")
        status = PUBLISHED["~/status"]
        self._status = probe.listen(f"/vmem/{NODE_NAME}/status", status.type, qos_profile(status.qos))

    def set(self, seconds: int, *, paused: bool = False) -> None:
        """Set the time, and wait until the node has heard it.

        :param paused: the node is told to hold generation or to go on, so that it says something.
        """
        seen = len(self._status.messages)

        def arrived() -> bool:
            self._clock.publish(Clock(clock=ns_to_stamp(seconds * 10**9)))
            self._client.pause(paused)
            return any(status.stamp.sec == seconds for status in self._status.messages[seen:])

        wait_until(arrived, f"time {seconds}")
