"""The planner of README.md, as a file of somebody's own, beside a camera node that remembers a room."""

import os
import subprocess
import sys
from pathlib import Path

from harness import CameraProcess, add_truth, pose_at
from markdown_pages import blocks
from repository import ROOT
from vmem_ros.nodes.client import CameraClient


def test_a_planner_in_a_dozen_lines(tmp_path: Path) -> None:
    (planner,) = (block.text for block in blocks(ROOT / "README.md") if block.language == "python")
    (tmp_path / "my_planner.py").write_text(planner, encoding="utf-8")
    with CameraProcess(tmp_path / "log", ros_args=["-r", "__ns:=/vmem"]), CameraClient() as client:
        client.wait_until_ready()
        add_truth(client, pose_at(-1.0), pose_at(0.0))
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        done = subprocess.run(
            [sys.executable, "my_planner.py"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        shape, rest = done.stdout.split(") ")
        assert shape == "(72, 96, 3"
        nearest_m, confidence = map(float, rest.split())
        assert 0 < nearest_m < 10
        assert 0 <= confidence <= 1
        client.wait_for(lambda status: status.stored_views == 3)
