"""A planner that asks the camera for views the robot never had, scores poses, measures, and shows what came back.

It uses the public interface alone, through :class:`~vmem_ros.nodes.client.CameraClient`. Start it as a process of its
own, after ``demo_robot`` has shown the camera the same house.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import torch
from rclpy.utilities import remove_ros_args
from tqdm import tqdm

from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.view_assembly import CapturedView
from vmem_ros.nodes.demo.camera_queries import Planner
from vmem_ros.nodes.demo.robot import DEMO_HOUSE
from vmem_ros.nodes.interface.names import NAMESPACE
from vmem_ros.nodes.interface.script import exit_status
from vmem_ros.reporting.sample import Sample
from vmem_ros.reporting.tables import Table
from vmem_ros.showcase.results_writer import Exploration, write_results
from vmem_ros.showcase.scenario import RequestedPoses, Scenario, typical_depth
from vmem_ros.showcase.scenario_options import add_scenario_options, describe_options, scenario_from_options
from vmem_ros.types import Target, View

# One part in so many of the path is asked for view by view, the rest as a path.
_ONE_BY_ONE = 6
_ROBOT_TIMEOUT_S = 120.0
#: The world that is saved in the end, below ``world.root`` of the camera node.
SAVED_WORLD = "demo_world"
_LATENCY_NOTE = (
    "Measured by the planner, a process of its own, from the call until the answer was there as an array; the truth "
    "was drawn beside it on the same processor."
)

Result = TypeVar("Result")


def run(planner: Planner, requested: RequestedPoses, truths: Truths, *, exact: bool) -> tuple[Exploration, list[Table]]:
    """Ask for everything, and return what came back with the tables that only a planner can fill.

    :param exact: whether the depth of the robot and of the truth is exact.
    """
    scores = planner.next_best_view(requested.path[0])
    previews = planner.previews([*requested.path, *requested.there_and_back])
    few = -(-len(requested.path) // _ONE_BY_ONE)
    views = planner.one_by_one(requested.path[:few])
    views += planner.path(requested.path[few:], label="the rest as one path")
    returns = planner.path(requested.there_and_back, label="there and back")
    elements = planner.elements()
    n = len(requested.path)
    exploration = Exploration(
        path=[_sample(v, p, t) for v, p, t in zip(views, previews[:n], truths.of_path(), strict=True)],
        there_and_back=[_sample(v, p, None) for v, p in zip(returns, previews[n:], strict=True)],
        observed=truths.of_robot(),
        elements=elements,
        engine=planner.engine,
        exact=exact,
    )
    return exploration, [scores, planner.watch.table("Latency", _LATENCY_NOTE)]


class Truths:
    """What a real camera would have seen, drawn in the background while the planner waits for the camera."""

    def __init__(self, scenario: Scenario, path: Sequence[Target]) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._robot = [self._pool.submit(scenario.look, target) for target in scenario.robot]
        self._path = [self._pool.submit(scenario.truth, target) for target in path]

    def of_robot(self) -> list[View]:
        """Return the views that the robot took."""
        return _results(self._robot, "robot's views")

    def of_path(self) -> list[View | None]:
        """Return the truth along the path, where it is known."""
        return _results(self._path, "truth")

    def close(self) -> None:
        """Drop what is not drawn yet."""
        self._pool.shutdown(cancel_futures=True)


def _results(futures: Sequence[Future[Result]], label: str) -> list[Result]:
    return [future.result() for future in tqdm(futures, desc=label, unit="view")]


def _sample(view: CapturedView, preview: View, truth: View | None) -> Sample:
    image, depth = torch.from_numpy(view.image), torch.from_numpy(view.depth)
    generated = View(image, view.camera, view.T_world_camera, depth, stamp_ns=view.stamp_ns, source="generated")
    return Sample(generated, torch.from_numpy(view.confidence), preview, truth)


def main(arguments: Sequence[str] | None = None) -> int:
    """Explore once, write the results, and stop."""
    given = list(sys.argv if arguments is None else ["demo_planner", *arguments])
    parser = argparse.ArgumentParser(prog="demo_planner", description=__doc__)
    add_scenario_options(parser, default_house=DEMO_HOUSE)
    parser.add_argument("--namespace", default=NAMESPACE, help=f"of the camera node (default {NAMESPACE})")
    parser.add_argument("--seed", type=int, default=0, help="seed of the generator (default 0)")
    parser.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for the results (default demo_out)")
    args = parser.parse_args(remove_ros_args(given)[1:])
    # The camera node needs the processor more than the truth does.
    torch.set_num_threads(1)
    return exit_status("demo_planner", lambda: _explore(args))


def _explore(args: argparse.Namespace) -> None:
    truths = None
    try:
        scenario = scenario_from_options(args)
        args.out.mkdir(parents=True, exist_ok=True)
        with CameraClient(args.namespace) as camera:
            camera.wait_until_ready()
            camera.wait_for(lambda s: s.stored_views >= len(scenario.robot), timeout_s=_ROBOT_TIMEOUT_S)
            first = scenario.robot[0]
            camera.set_camera(first.camera)
            known = camera.render(first.T_world_camera, camera=first.camera).depth
            requested = scenario.ask(typical_depth(torch.as_tensor(known)))
            truths = Truths(scenario, requested.path)
            exploration, tables = run(
                Planner(camera, args.namespace, seed=args.seed), requested, truths, exact=scenario.exact
            )
            saved = camera.save(SAVED_WORLD, overwrite=True)
        settings = {**describe_options(args, scenario), "seed": args.seed, "stored views are reused": "no"}
        settings["saved world"] = f"{Path(saved.path).name}, {saved.stored_views} views"
        print("drawing the contact sheet and the animation, measuring against the truth")
        write_results(args.out, dataclasses.replace(exploration, settings=settings), title=scenario.title, more=tables)
    finally:
        if truths is not None:
            truths.close()


if __name__ == "__main__":
    sys.exit(main())
