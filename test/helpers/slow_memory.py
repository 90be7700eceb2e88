"""A memory for tests, named to the node as ``slow_memory:SlowMemory``: a real one, whose projections take a while."""

from __future__ import annotations

import time

from vmem_ros.memory.points import PointMemory
from vmem_ros.types import Projection, Target

SECONDS = 1.1


class SlowMemory(PointMemory):
    kind = "slow_memory:SlowMemory"

    def project(self, target: Target) -> Projection:
        time.sleep(SECONDS)
        return super().project(target)
