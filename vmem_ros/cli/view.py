"""Look at a world in the browser: what is remembered, a camera to fly, and buttons to generate, undo and save.

A saved world, a recording of a real camera or a procedural house. Ends with Ctrl-C.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vmem_ros.geometry import Camera
from vmem_ros.memory import AUTO_MEMORY, DEFAULT_MEMORY, MEMORIES
from vmem_ros.pointmaps import GeometryPrior
from vmem_ros.scenes.house import HOUSE_FOV_DEG
from vmem_ros.showcase.engine_options import (
    add_engine_options,
    add_refinement_option,
    add_sensor_options,
    estimator_from_options,
    generator_from_options,
    memory_from_options,
    sensor_from_options,
)
from vmem_ros.showcase.recording_options import add_recording_options, recording_from_options
from vmem_ros.showcase.scenario import house_scenario
from vmem_ros.types import View
from vmem_ros.world import World
from vmem_ros.world_file import read_metadata

_MOST_FRAMES = 100
_PORT = 8080
_CLOSE_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem view``."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("world", type=Path, nargs="?", metavar="WORLD", help="a saved world")
    source.add_argument("--recording", type=Path, metavar="PATH", help="a recording of a real camera")
    source.add_argument("--house", type=int, metavar="SEED", help="a procedural house, seen at a few stops")
    parser.add_argument("--host", default="localhost", help="where to listen (default localhost: this machine only)")
    parser.add_argument("--port", type=int, default=_PORT, help=f"0: any that is free (default {_PORT})")
    parser.add_argument("--save", type=Path, metavar="PATH", help="where Save saves (default WORLD, or its title)")
    parser.add_argument("--seed", type=int, help="seed of the generator (default: another one for each view)")
    parser.add_argument("--stops", type=int, default=4, help="in a house, each with three views (default 4)")
    parser.add_argument("--width", type=int, default=384, help="width of the views in pixels, at most (default 384)")
    add_engine_options(parser)
    add_sensor_options(parser)
    add_refinement_option(parser)
    add_recording_options(parser, frames=f"evenly spread, {_MOST_FRAMES} at most")


@dataclass(frozen=True)
class _Source:
    """Where a world comes from.

    :param count: of the frames that are observed; ``look(number)`` returns one.
    """

    title: str
    camera: Camera
    count: int
    look: Callable[[int], View]
    has_depth: bool
    prior: GeometryPrior
    notes: tuple[str, ...] = ()


def run(args: argparse.Namespace) -> None:
    """Show the world until Ctrl-C."""
    # Here, so that help and mistyped options need none of the extra's packages.
    from vmem_ros.viewer.viewer import Viewer
    from vmem_ros.viewer.world_backend import WorldBackend

    if args.world is not None and args.memory == AUTO_MEMORY:
        kind = read_metadata(args.world).get("kind", DEFAULT_MEMORY)
        # Names of the package only: a file does not choose what is imported.
        args.memory = kind if kind in MEMORIES else DEFAULT_MEMORY
    source = None if args.world is not None else _source(args)
    world = World(
        memory_from_options(args),
        generator_from_options(args),
        estimator_from_options(
            args, has_depth=source is None or source.has_depth, prior="none" if source is None else source.prior
        ),
        sensor=sensor_from_options(args),
    )
    if source is None:
        notes = world.load(args.world)
        views = world.memory.views
        camera = views[-1].camera if len(views) else Camera.from_fov(args.width, round(args.width / 1.5), HOUSE_FOV_DEG)
        title = args.world.name
    else:
        title, camera, notes = source.title, source.camera, source.notes
    for note in notes:
        print(f"{title}: {note}")
    save_as = args.save or args.world or Path(f"{title.replace(' ', '_').lower()}.world")
    backend = WorldBackend(world, camera, title=title, save_as=save_as, seed=args.seed)
    del world
    viewer = Viewer(backend, host=args.host, port=args.port)
    print(f"{title}: open {viewer.url} in a browser; Ctrl-C ends", flush=True)
    try:
        if source is not None:
            viewer.tell(backend.observe(source.count, source.look, refine=args.refine_pose == "icp"))
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        viewer.close()
        backend.close(timeout_s=_CLOSE_S)
    if args.world is not None and backend.unsaved:
        print(f"{title}: what has changed since it was saved is gone")


def _source(args: argparse.Namespace) -> _Source:
    """Return what the options say is looked at."""
    if args.recording is None:
        # Its loop, which takes three poses at least, is not asked for.
        scenario = house_scenario(args.house, views=3, width=args.width, stops=args.stops)
        robot = scenario.robot
        title = f"House {args.house}"
        return _Source(title, robot[0].camera, len(robot), lambda n: scenario.observe(robot[n]), True, scenario.prior)
    recording = recording_from_options(args.recording, args)
    step = 1 if args.frames is not None else -(-len(recording) // _MOST_FRAMES)
    chosen = range(0, len(recording), step)
    first = recording[0].view
    return _Source(
        recording.title,
        first.camera,
        len(chosen),
        lambda n: recording[chosen[n]].view,
        first.depth is not None,
        "none",
        recording.notes,
    )
