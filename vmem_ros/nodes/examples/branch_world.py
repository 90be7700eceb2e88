"""Save a world, go on from it in two ways, and come back to either: what was drawn in one is unknown in the other."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from torch import Tensor

from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.examples import program
from vmem_ros.nodes.examples.rooms import Rooms

_VIEWS = 3


def branch(args: argparse.Namespace) -> None:
    """Show the camera two rooms, save, and go on twice from there."""
    rooms = Rooms(args.width)
    ways = {"left": rooms.loop[:_VIEWS], "right": rooms.loop[len(rooms.loop) // 2 :][:_VIEWS]}
    with CameraClient(args.namespace) as camera:
        rooms.show(camera)
        start = camera.save(_file("start"), overwrite=True)
        print(f"{start.path}: {start.stored_views} views")
        for name, path in ways.items():
            camera.load(_file("start"))
            camera.generate(path, seed=1)
            saved = camera.save(_file(name), overwrite=True)
            print(f"{saved.path}: {saved.stored_views} views")
        for name in ways:
            camera.load(_file(name))
            print(f"in {name!r}, " + ", ".join(f"{_known(camera, way, path)}" for way, path in ways.items()))


def _file(name: str) -> str:
    """Return a place below the camera's ``world.root``."""
    return f"branch_world/{name}"


def _known(camera: CameraClient, way: str, path: Sequence[Tensor]) -> str:
    """Say whether the view where a way begins is stored: then it comes back exactly."""
    return f"the way {way} {'is remembered' if camera.capture(path[0]).reused else 'is drawn anew'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Branch once and stop."""
    return program.run("branch_world", __doc__, branch, arguments)


if __name__ == "__main__":
    sys.exit(main())
