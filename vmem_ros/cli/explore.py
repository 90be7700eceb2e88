"""Draw views of a photo, a recording or a procedural house, from poses where no camera was.

Writes a contact sheet, an animation, the cloud of the memory, a recording for Foxglove and a report.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from vmem_ros.reporting.sample import Sample, preview_of
from vmem_ros.reporting.tables import Table
from vmem_ros.showcase.engine_options import (
    add_engine_options,
    estimator_from_options,
    generator_from_options,
    memory_from_options,
)
from vmem_ros.showcase.scenario import Scenario, typical_depth
from vmem_ros.showcase.scenario_options import add_scenario_options, describe_options, scenario_from_options
from vmem_ros.types import Target
from vmem_ros.world import World


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem explore``."""
    add_scenario_options(parser)
    parser.add_argument("--seed", type=int, default=0, help="seed of the generator (default 0)")
    add_engine_options(parser)
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
    estimator = estimator_from_options(args, has_depth=scenario.has_depth, prior=scenario.prior)
    args.out.mkdir(parents=True, exist_ok=True)
    # A pose asked for twice is drawn twice: reuse would make every closed loop perfect and say nothing.
    world = World(memory_from_options(args), generator, estimator, reuse_views=False)
    observed = [scenario.observe(target) for target in tqdm(scenario.robot, desc="looking", unit="view")]
    for view in tqdm(observed, desc="remembering", unit="view"):
        world.observe(view)
    requested = scenario.ask(typical_depth(world.glimpse(scenario.robot[0]).depth))
    path, path_s = _ask(world, scenario, requested.path, seed=args.seed, label="path")
    returns, returns_s = _ask(world, scenario, requested.there_and_back, seed=args.seed, label="there and back")
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
            "depth of new views": estimator.name,
            "seed": args.seed,
            "stored views are reused": "no",
        },
    )
    views = len(path) + len(returns)
    speed = Table("Time", [{"views": views, "seconds a view": (path_s + returns_s) / views}], "Previews included.")
    write_results(args.out, exploration, title=scenario.title, more=[speed])
    write_recording(args.out / "recording", path, world.memory.elements(), start_ns=time.time_ns())
    print(f"wrote {args.out}/contact_sheet.png and more in {time.monotonic() - started:.0f} s")


def _ask(
    world: World, scenario: Scenario, targets: Sequence[Target], *, seed: int, label: str
) -> tuple[list[Sample], float]:
    """Ask for a view at each target; return the samples, and the seconds that previews and views took."""
    if not targets:
        return [], 0.0
    start = time.monotonic()
    previews = [preview_of(world.glimpse(target), target) for target in targets]
    frames = list(tqdm(world.explore(targets, seed=seed), total=len(targets), desc=label, unit="view"))
    seconds = time.monotonic() - start
    looking = tqdm(targets, desc=f"truth of {label}", unit="view", disable=not scenario.known)
    truths = [scenario.truth(target) for target in looking]
    samples = [
        Sample(frame.view, frame.confidence, preview, truth)
        for frame, preview, truth in zip(frames, previews, truths, strict=True)
    ]
    return samples, seconds
