"""The parameter ``seed.refine_pose``: poses of seeds and of added views are corrected, and the node says so."""

from __future__ import annotations

from pathlib import Path

import torch

from harness import CameraProcess, Probe, pose_at, seen_from
from vmem_ros.geometry import Camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import PUBLISHED, qos_profile
from waiting import wait_until

CAMERA = Camera.from_fov(192, 144, 80)
LOOK = (3.0, 1.5, -0.4)


def add(client: CameraClient, true: torch.Tensor, *, off_m: float = 0.0) -> None:
    """Show what is to be seen from a pose, and say that it was taken beside it."""
    view = seen_from(true, CAMERA)
    assert view.depth is not None
    given = true.clone()
    given[:3, 3] += off_m * true[:3, 0]
    client.add_view(view.image.numpy(), CAMERA, given, depth=view.depth.numpy())


def test_poses_are_corrected_where_the_parameter_says_so(tmp_path: Path) -> None:
    parameters = {"diagnostics.period_s": 0.1, "world.root": tmp_path}
    with CameraProcess(tmp_path / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        topic = PUBLISHED["/diagnostics"]
        inbox = probe.listen("/diagnostics", topic.type, qos_profile(topic.qos))

        def figures() -> dict[str, str]:
            return {v.key: v.value for v in inbox.messages[-1].status[3].values}

        for x in (-1.2, -1.0):
            add(client, pose_at(x, 0.3, look=LOOK))
        wait_until(lambda: inbox.messages, "diagnostics")
        assert (figures()["poses_corrected"], figures()["poses_kept"]) == ("0", "0")
        probe.set_parameter("seed.refine_pose", "icp")
        add(client, pose_at(-1.1, 0.3, look=LOOK), off_m=0.02)
        wait_until(lambda: figures()["poses_corrected"] == "1", "the corrected pose in /diagnostics")
        assert "mm and" in figures()["last_refinement"]
        add(client, pose_at(-1.1, 0.3, look=(-3.0, 0.0, 0.0)))
        wait_until(lambda: figures()["poses_kept"] == "1", "the pose that stays in /diagnostics")
        assert "are needed" in figures()["last_refinement"]
        wait_until(lambda: "the pose was corrected by" in node.log, "a line in the log")
        probe.close()
