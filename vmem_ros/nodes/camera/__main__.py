"""``python -m vmem_ros.nodes.camera``: the camera node where ``ros2 run`` is not installed."""

import sys

from vmem_ros.interrupts import ending_quietly

with ending_quietly():
    from vmem_ros.nodes.camera.node import main

if __name__ == "__main__":
    sys.exit(main())
