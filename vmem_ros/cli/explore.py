"""Draw views of a photo, a recording or a procedural house, from poses where no camera was.

Writes a contact sheet, an animation, the cloud of the memory, a recording for Foxglove and a report.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from vmem_ros.pointmaps.outdoors import SKY_M, shows_sky
from vmem_ros.pose_refinement import summary_of
from vmem_ros.reporting.sample import Sample, preview_of
from vmem_ros.reporting.tables import Table
from vmem_ros.showcase.engine_options import (
    add_engine_options,
    add_refinement_option,
    add_sensor_options,
    estimator_from_options,
    generator_from_options,
    memory_from_options,
    sensor_from_options,
)
from vmem_ros.showcase.scenario import Scenario, typical_depth
from vmem_ros.showcase.scenario_options import add_scenario_options, describe_options, scenario_from_options
from vmem_ros.types import Target, View
from vmem_ros.world import World


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem explore``."""
    add_scenario_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the generator (default 0)")
    parser.add_argument("--prompt", help="what the views are to show, in words, for engines that read")
    add_engine_options(parser)
    add_sensor_options(parser)
    add_refinement_option(parser)
    parser.add_argument("--out", type=Path, default=Path("vmem_out"), help="folder for the results (default vmem_out)")


def run(args: argparse.Namespace) -> None:
    """Explore, and write the results into ``args.out``."""
    # Here, so that help and mistyped options need none of the extra's packages.
    from vmem_ros.reporting.world_mcap import write_recording
    from vmem_ros.showcase.results_writer import Exploration, write_results

    started = time.monotonic()
    scenario = scenario_from_options(args)
    for note in scenario.notes:
        print(f"{scenario.title}: {note}")
    generator = generator_from_options(args)
    estimator = estimator_from_options(args, has_depth=scenario.has_depth, prior=scenario.prior, scene=scenario.scene)
    args.out.mkdir(parents=True, exist_ok=True)
    # A pose asked for twice is drawn twice: reuse would make every closed loop perfect and say nothing.
    world = World(memory_from_options(args), generator, estimator, reuse_views=False, sensor=sensor_from_options(args))
    observed = [scenario.observe(target) for target in tqdm(scenario.robot, desc="looking", unit="view")]
    refined = [
        world.observe(view, refine=args.refine_pose == "icp")
        for view in tqdm(observed, desc="remembering", unit="view")
    ]
    if args.refine_pose != "off":
        print(f"{scenario.title}: {summary_of(refined)}")
    if scenario.scene == "auto" and estimator.name == "small":
        _say_what_was_guessed(scenario.title, world.memory.views[0])
    requested = scenario.ask(typical_depth(world.glimpse(scenario.robot[0]).depth))
    path, path_s = _ask(world, scenario, requested.path, args, label="path")
    returns, returns_s = _ask(world, scenario, requested.there_and_back, args, label="there and back")
    exploration = Exploration(
        path=path,
        there_and_back=returns,
        observed=observed,
        elements=world.memory.elements(),
        engine=world.generator.name,
        exact=scenario.exact,
        settings={
            **describe_options(args, scenario),
            "memory": world.memory.kind,
            "poses of what the camera took": summary_of(refined),
            "depth of new views": estimator.name,
            "seed": args.seed,
            **({"prompt": args.prompt} if args.prompt else {}),
            "stored views are reused": "no",
        },
    )
    views = len(path) + len(returns)
    speed = Table("Time", [{"views": views, "seconds a view": (path_s + returns_s) / views}], "Previews included.")
    write_results(args.out, exploration, title=scenario.title, more=[speed])
    write_recording(args.out / "recording", path, world.memory.elements(), start_ns=time.time_ns())
    print(f"wrote {args.out}/contact_sheet.png and more in {time.monotonic() - started:.0f} s")


def _say_what_was_guessed(title: str, photo: View) -> None:
    if shows_sky(photo):
        print(
            f"{title}: taken for the open air, its sky put {SKY_M:g} m away; if that is a wall: --estimator-option "
            "scene=indoors"
        )
    print(
        f"{title}: its depth is a guess of the small network, which knows drawn houses only; `vmem fetch depth` "
        "fetches one for real pictures, --estimator huggingface uses it"
    )


def _ask(
    world: World, scenario: Scenario, targets: Sequence[Target], args: argparse.Namespace, *, label: str
) -> tuple[list[Sample], float]:
    """Ask for a view at each target; return the samples, and the seconds that previews and views took."""
    if not targets:
        return [], 0.0
    start = time.monotonic()
    previews = [preview_of(world.glimpse(target), target) for target in targets]
    exploring = world.explore(targets, prompt=args.prompt, seed=args.seed)
    frames = list(tqdm(exploring, total=len(targets), desc=label, unit="view"))
    seconds = time.monotonic() - start
    looking = tqdm(targets, desc=f"truth of {label}", unit="view", disable=not scenario.known)
    truths = [scenario.truth(target) for target in looking]
    samples = [
        Sample(frame.view, frame.confidence, preview, truth)
        for frame, preview, truth in zip(frames, previews, truths, strict=True)
    ]
    return samples, seconds
