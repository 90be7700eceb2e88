"""The demo: a robot shows the camera two rooms, then a planner asks for views that the robot never had.

Starts vmem_camera, a recorder, demo_robot and demo_planner as processes of their own that talk over DDS on this machine
only, and leaves a contact sheet, an animation, the surfel cloud, a recording and a report.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from ament_index_python.packages import get_package_share_directory

from vmem_ros.errors import VmemError
from vmem_ros.generation.engines import DEFAULT_ENGINE
from vmem_ros.nodes.demo.planner import SAVED_WORLD
from vmem_ros.nodes.demo.robot import DEMO_HOUSE
from vmem_ros.nodes.interface.names import NAMESPACE
from vmem_ros.nodes.tools.processes import Processes, ProcessFailedError
from vmem_ros.pointmaps import DEFAULT_ESTIMATOR
from vmem_ros.pretrained.option_values import options_from_pairs
from vmem_ros.process import set_thread_waiting
from vmem_ros.showcase.engine_options import (
    add_engine_options,
    add_sensor_options,
    engine_options,
    estimator_name,
    estimator_options,
    sensor_from_options,
)
from vmem_ros.showcase.results_writer import ANIMATION, CLOUD, CONTACT_SHEET
from vmem_ros.showcase.scenario import Scenario
from vmem_ros.showcase.scenario_options import add_scenario_options, scenario_from_options

_ROBOT_LIMIT_S, _PLANNER_LIMIT_S = 240.0, 600.0
#: Set for the camera node: every answer is drawn anew, so that loop figures mean something, and in every run the same;
#: every robot view is taken.
_PARAMETERS = {
    "reuse_views": "false",
    "camera.seed": "0",
    "seed.pose_source": "topic",
    "seed.min_translation_m": "0.0",
    "seed.min_rotation_deg": "0.0",
    "preview.rate_hz": "30.0",
    "memory.publish_rate_hz": "0.2",
}


def run(args: argparse.Namespace, forwarded: Sequence[str]) -> Scenario:
    """Run the demo, and return what was done; raises the error of the process that failed.

    :param forwarded: options that robot and planner take as they are.
    """
    out: Path = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    scenario = scenario_from_options(args)  # also checks photo or recording before anything starts
    for note in scenario.notes:
        print(f"{scenario.title}: {note}")
    camera, sensor = scenario.robot[0].camera, sensor_from_options(args)
    parameters = {
        **_PARAMETERS,
        "engine": args.engine,
        "engine_options": _as_yaml_text(engine_options(args)),
        "memory.kind": args.memory,
        "memory.options": _as_yaml_text(options_from_pairs(args.memory_option)),
        "geometry.estimator": estimator_name(args, has_depth=scenario.has_depth),
        "geometry.options": _as_yaml_text(
            estimator_options(args, has_depth=scenario.has_depth, prior=scenario.prior, scene=scenario.scene)
        ),
        "seed.sensor": sensor.sensor,
        "seed.close_gaps_px": str(sensor.close_gaps_px),
        "seed.remove_flying": str(sensor.remove_flying).lower(),
        "seed.depth": str(scenario.has_depth).lower(),
        "model.device": args.device,
        "camera.width": str(camera.width),
        "camera.height": str(camera.height),
        "world.root": str(out / "worlds"),
        "prompt": json.dumps(args.prompt),
    }
    ros = ["--ros-args", "-r", f"__ns:=/{NAMESPACE}"]
    settings = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    with Processes(environment(), log_folder=out / "logs") as processes:
        recorder = processes.start("tools.recorder", ["--out", str(out / "recording"), *ros], log=True)
        node = processes.start("camera", [*ros, *settings], log=True)
        robot = processes.start("demo.robot", [*forwarded, "--subscribers", "2", *ros])  # the camera and the recorder
        processes.wait_for(robot, beside=(node, recorder), limit_s=_ROBOT_LIMIT_S)
        planner = processes.start("demo.planner", [*forwarded, "--out", str(out)])
        processes.wait_for(planner, beside=(node, recorder), limit_s=_PLANNER_LIMIT_S)
    return scenario


def view_command(args: argparse.Namespace, scenario: Scenario) -> str:
    """Return the line that shows the world of a demo in the browser, with what draws new views in it."""
    words = ["vmem", "view", str(args.out / "worlds" / SAVED_WORLD)]
    if args.engine != DEFAULT_ENGINE:
        words += ["--engine", args.engine]
    if args.model:
        words += ["--model", args.model]
    for option in args.engine_option:
        words += ["--engine-option", option]
    if args.device != "cpu":
        words += ["--device", args.device]
    if scenario.prior != "none" and estimator_name(args, has_depth=True) == DEFAULT_ESTIMATOR:
        words += ["--prior", args.prior or scenario.prior]
    on_path = "source tools/env.sh && " if Path("tools/env.sh").is_file() else ""
    return on_path + shlex.join(words)


def _as_yaml_text(options: Mapping[str, Any]) -> str:
    """Return options as a string parameter: a mapping within the quotes that make YAML take it for text."""
    return json.dumps(json.dumps(options))


def environment() -> dict[str, str]:
    """Return the environment of the demo's processes: a domain of its own that never leaves this machine."""
    out = {k: v for k, v in os.environ.items() if k not in ("ROS_LOCALHOST_ONLY", "ROS_STATIC_PEERS")}
    out["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    set_thread_waiting(out)
    out.setdefault("ROS_DOMAIN_ID", str(random.randint(1, 100)))
    profile = Path(get_package_share_directory("vmem_ros")) / "config" / "fastdds.xml"
    # Jazzy reads the first name only, Kilted prefers the second.
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        out.setdefault(name, str(profile))
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code: 0, 1 after an error, 130 after Ctrl-C or SIGTERM."""
    # The other options are those of robot and planner, and reach them as they are.
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    own.add_argument("--out", type=Path, default=Path("demo_out"), help="folder for the results (default demo_out)")
    own.add_argument("--prompt", default="", help="what the views are to show, in words, for engines that read")
    add_engine_options(own)
    add_sensor_options(own)
    parser = argparse.ArgumentParser(prog="demo", description=__doc__, parents=[own])
    add_scenario_options(parser, default_house=DEMO_HOUSE)
    args = parser.parse_args(arguments)
    _, forwarded = own.parse_known_args(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    started = time.monotonic()
    try:
        scenario = run(args, forwarded)
    except (VmemError, ProcessFailedError, ValueError) as error:
        print(f"\ndemo: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted, all processes are stopped", file=sys.stderr)
        return 130
    print(f"\ndone in {time.monotonic() - started:.0f} s; look at:")
    for name in (CONTACT_SHEET, ANIMATION, "report.md", CLOUD, "recording/recording.mcap"):
        print(f"  {args.out / name}")
    print(f"fly through it in the browser:\n  {view_command(args, scenario)}")
    return 0


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
