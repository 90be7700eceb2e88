"""Take a picture where no camera was: colour, depth, and what of it is remembered."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.examples import program
from vmem_ros.nodes.examples.rooms import Rooms
from vmem_ros.reporting.colormaps import confidence_overlay, depth_colors

_NEAR_M, _FAR_M = 0.5, 8.0


def take(args: argparse.Namespace) -> None:
    """Show the camera two rooms, ask for one view, and write it."""
    rooms = Rooms(args.width)
    with CameraClient(args.namespace) as camera:
        rooms.show(camera)
        view = camera.capture(rooms.loop[0], seed=1)
    image, depth, confidence = (torch.from_numpy(part) for part in (view.image, view.depth, view.confidence))
    panels = [image, depth_colors(depth, near_m=_NEAR_M, far_m=_FAR_M), confidence_overlay(image, confidence)]
    Image.fromarray(torch.cat(panels, dim=1).numpy()).save(args.out)
    height, width = view.depth.shape
    known = view.depth[np.isfinite(view.depth)]
    print(
        f"{args.out}: {width} x {height} pixels, {known.min():.2f} to {known.max():.2f} m away, "
        f"{view.remembered:.0%} of it remembered, the rest drawn"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Take one picture and stop."""
    return program.run("take_picture", __doc__, take, arguments, out="picture.png")


if __name__ == "__main__":
    sys.exit(main())
