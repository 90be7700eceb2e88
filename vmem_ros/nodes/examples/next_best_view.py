"""Look where most is unknown, three times: what memory shows and what is imagined, asked by a node of one's own.

It awaits the client in a task of rclpy, as any asynchronous callback of a node can.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence

import rclpy
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from torch import Tensor

from vmem_ros.nodes.client import CameraClient, PathAhead
from vmem_ros.nodes.examples import program
from vmem_ros.nodes.examples.rooms import Rooms
from vmem_ros.scenes.headings import turn_about_vertical

_ROUNDS, _HEADINGS, _IMAGINED = 3, 12, 3
# A way is none where something is nearer than this, known or imagined.
_CLEARANCE_M = 0.4


class Planner(Node):
    """Turns on the spot to where most is to be seen that the memory does not know, and looks there."""

    def __init__(self, namespace: str, context: Context, place: Tensor) -> None:
        super().__init__("next_best_view", context=context, start_parameter_services=False)
        self._camera = CameraClient(namespace, node=self)
        step = 2 * math.pi / _HEADINGS
        #: For each heading two poses: half way to the next one, and there.
        self._paths = [[turn_about_vertical(place, step * (i + half)) for half in (0.5, 1.0)] for i in range(_HEADINGS)]

    async def explore(self) -> None:
        """Ask cheaply about all ways, have the least known ones imagined, and look along the best; then begin anew."""
        await self._camera.wait_until_ready_async()
        for number in range(1, _ROUNDS + 1):
            # Milliseconds each, all at once: what memory alone shows.
            asked = [self._camera.render_async(path[-1], images=False) for path in self._paths]
            unknown = [1 - (await task).seen for task in asked]
            few = sorted(range(_HEADINGS), key=lambda i: -unknown[i])[:_IMAGINED]
            # Drawn, and not remembered: what would be seen there.
            paths = [self._paths[i] for i in few]
            ahead = await self._camera.imagine_async(paths, seed=number, two_seeds=False)
            best = max(range(_IMAGINED), key=lambda i: _gain(ahead[i]))
            await self._camera.generate_async(paths[best], seed=number)
            print(
                f"look {number}: {sum(unknown) / _HEADINGS:.0%} is unknown around; at {few[best] * 360 // _HEADINGS} "
                f"degrees {1 - ahead[best].remembered:.0%}, and the nearest thing there would be "
                f"{ahead[best].nearest_depth_m:.1f} m away",
                flush=True,
            )
        self._camera.close()


def _gain(path: PathAhead) -> float:
    """Return the share of a path's views that nobody has seen; nothing where something is in the way."""
    is_blocked = path.nearest_depth_m < _CLEARANCE_M  # not if it is NaN: none is known
    return 0.0 if is_blocked else 1 - path.remembered


def plan(args: argparse.Namespace) -> None:
    """Show the camera two rooms, then plan in one of them."""
    rooms, context = Rooms(args.width), Context()
    with CameraClient(args.namespace) as camera:
        rooms.show(camera)
    rclpy.init(args=[], context=context)
    try:
        executor = SingleThreadedExecutor(context=context)
        planner = Planner(args.namespace, context, rooms.loop[0])
        executor.add_node(planner)
        exploring = executor.create_task(planner.explore)
        executor.spin_until_future_complete(exploring)
        exploring.result()
    finally:
        context.try_shutdown()


def main(arguments: Sequence[str] | None = None) -> int:
    """Plan once and stop."""
    return program.run("next_best_view", __doc__, plan, arguments)


if __name__ == "__main__":
    sys.exit(main())
