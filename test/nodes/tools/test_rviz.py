"""RViz where it is installed, and a message where it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vmem_ros.nodes.tools import rviz
from waiting import WAIT_S


def started(*arguments: str, prefix: Path) -> subprocess.CompletedProcess[str]:
    """Run the executable where one more prefix is sourced; of this machine's own no RViz is found."""
    paths = [path for path in os.environ["AMENT_PREFIX_PATH"].split(":") if not (Path(path) / "lib" / "rviz2").is_dir()]
    environment = {**os.environ, "AMENT_PREFIX_PATH": ":".join([str(prefix), *paths]), "ROS_DISTRO": "jazzy"}
    command = [sys.executable, "-m", rviz.__name__, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WAIT_S, check=False)


def test_without_rviz_it_says_what_to_install_and_ends_well(tmp_path: Path) -> None:
    done = started("-d", "vmem.rviz", prefix=tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "rviz2 is not installed" in done.stderr
    assert "sudo apt install ros-jazzy-rviz2" in done.stderr


def test_with_rviz_it_becomes_that(tmp_path: Path) -> None:
    program = tmp_path / "lib" / "rviz2" / "rviz2"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$@"\nexit 7\n', encoding="utf-8")
    program.chmod(0o755)
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    done = started("-d", "vmem.rviz", "--ros-args", prefix=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (7, "-d vmem.rviz --ros-args\n", "")
