"""Many worlds. `vmem fleet bench` measures how fast a Gymnasium environment steps and how fast fleets of worlds on Ray
answer, on this machine or on a cluster, how large their batches are, and what the loss of a node does.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from vmem_ros.files import write_text
from vmem_ros.pretrained.option_values import options_from_pairs
from vmem_ros.scenes import EVALUATION_SEEDS
from vmem_ros.showcase.engine_options import add_engine_options, engine_options

_HOUSE = EVALUATION_SEEDS[0]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem fleet``."""
    verbs = parser.add_subparsers(dest="what", required=True, metavar="bench")
    bench = verbs.add_parser("bench", help="what many worlds cost", description=__doc__)
    place = bench.add_mutually_exclusive_group()
    place.add_argument(
        "--house", type=int, default=_HOUSE, metavar="SEED", help=f"where worlds begin (default {_HOUSE})"
    )
    place.add_argument("--world", type=Path, metavar="FILE", help="a world file that worlds begin with")
    bench.add_argument("--width", type=int, default=128, help="of the views in pixels (default 128)")
    bench.add_argument("--worlds", type=int, nargs="+", default=[1, 4], help="sizes of the fleets (default 1 4)")
    bench.add_argument("--requests", type=int, default=16, help="views that each world is asked for (default 16)")
    bench.add_argument("--max-batch", type=int, default=8, help="worlds drawn together at most (default 8)")
    bench.add_argument("--threads", type=int, default=1, help="threads of the generator (default 1)")
    add_engine_options(bench)
    bench.add_argument(
        "--ray", default="local", metavar="ADDRESS", help="of a Ray cluster: auto, HOST:PORT (default local)"
    )
    bench.add_argument(
        "--lose-node",
        action="store_true",
        help="also a cluster of two nodes on this machine, one of them killed half-way",
    )
    bench.add_argument(
        "--folder", type=Path, help="where checkpoints go, shared by all nodes (default: that for temporary files)"
    )
    bench.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")


def run(args: argparse.Namespace) -> None:
    """Measure.

    :raises ValueError: a number out of range.
    :raises VmemError: a part of the worlds cannot be loaded, or there is no cluster.
    """
    # Here, so that help needs none of the extra's packages.
    from vmem_ros.fleet.bench import cpus_for, measure_environment, measure_loss, measure_sizes, tables
    from vmem_ros.fleet.cluster import LOCAL, connect, import_ray
    from vmem_ros.fleet.world_setup import WorldSetup
    from vmem_ros.reporting.json_text import as_json
    from vmem_ros.reporting.machine import describe_machine

    for name, value in (("worlds", min(args.worlds)), ("requests", args.requests), ("threads", args.threads)):
        if value < 1:
            raise ValueError(f"--{name} must be at least 1, got {value}")
    if args.lose_node and args.ray != LOCAL:
        raise ValueError("--lose-node starts a cluster of its own on this machine: leave --ray out")
    import_ray()  # Before anything is built: it may not be installed.
    torch.set_num_threads(args.threads)
    given = {"model": args.depth_model, "prior": args.prior}
    setup = WorldSetup(
        house=None if args.world else args.house,
        world=str(args.world.absolute()) if args.world else None,
        width=args.width,
        engine=args.engine,
        engine_options=engine_options(args),
        memory=args.memory,
        memory_options=options_from_pairs(args.memory_option),
        estimator=args.estimator,
        estimator_options=options_from_pairs(args.estimator_option) | {k: v for k, v in given.items() if v},
        device=args.device,
        # Every view is drawn, also where a camera has turned once.
        reuse_views=False,
    )
    how = {"requests": args.requests, "max_batch": args.max_batch, "threads": args.threads}
    machine = describe_machine()
    print("\n".join(f"{name}: {value}" for name, value in machine.items()), end="\n\n", flush=True)
    # A new folder also within a given one: worlds that are there would be gone on with.
    with tempfile.TemporaryDirectory(prefix="vmem_fleet_", dir=args.folder) as folder:
        measured = [measure_environment(setup, steps=args.requests)]
        with connect(args.ray, cpus=cpus_for(max(args.worlds), threads=args.threads)):
            measured += measure_sizes(setup, args.worlds, folder=Path(folder) / "sizes", **how)
        lost = None
        if args.lose_node:
            lost = measure_loss(setup, worlds=max(args.worlds), folder=Path(folder) / "loss", **how)
    found = tables(measured, lost)
    print("\n".join(table.markdown() for table in found))
    if args.json:
        record = {
            "command": f"vmem fleet {' '.join(sys.argv[2:])}",
            "machine": machine,
            "tables": {table.title: list(table.rows) for table in found},
        }
        write_text(args.json, as_json(record))
