"""Previews that take longer than their rate allows follow each other at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sensor_msgs.msg import CameraInfo

from harness import CameraProcess, Probe, add_truth, pose_at
from slow_memory import SECONDS, SlowMemory
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import qos_profile
from waiting import wait_until


def test_previews_do_not_wait_for_the_next_tick(tmp_path: Path) -> None:
    """One a second is asked for and drawing takes a little longer: every second tick would be one in two seconds."""
    parameters = {"memory.kind": SlowMemory.kind, "preview.rate_hz": 1.0}
    with CameraProcess(tmp_path / "log", parameters), CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, pose_at(-1.0))
        probe = Probe()
        infos = probe.listen("preview/camera_info", CameraInfo, qos_profile("stream"))
        wait_until(lambda: len(infos.messages) >= 5, "five previews")
        probe.close()
    gaps = np.diff([stamp_to_ns(info.header.stamp) for info in infos.messages]) / 1e9
    assert SECONDS <= np.median(gaps) < 1.8
