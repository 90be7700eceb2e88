"""RViz with the displays of the camera, or a line that says how to install it: a launch file goes on without it.

    ros2 run vmem_ros rviz -d FILE          (arguments are those of rviz2)

A launch file that starts a package which is not there aborts, and takes the camera with it. Robots have no screen, so
the package does not depend on RViz.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix


def main(arguments: Sequence[str] | None = None) -> int:
    """Become rviz2; returns 0 where there is none, after saying so."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        program = Path(get_package_prefix("rviz2")) / "lib" / "rviz2" / "rviz2"
    except PackageNotFoundError:
        program = None
    if program is not None and os.access(program, os.X_OK):
        os.execv(program, [str(program), *given])
    distro = os.environ.get("ROS_DISTRO", "<distro>")
    print(
        f"rviz: rviz2 is not installed, everything else goes on without it: `sudo apt install ros-{distro}-rviz2`, or "
        "open config/vmem.foxglove.json in Foxglove",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
