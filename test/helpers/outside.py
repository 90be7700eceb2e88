"""Commands that run as on a machine of somebody else: outside the checkout, with nothing of ROS in the shell."""

import os
import subprocess
from pathlib import Path

_OF_ROS = ("PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")


def run_outside(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in ``cwd``; it must end with 0."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_ROS}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done
