"""``python -m vmem_ros.planning --out FOLDER``: explore several houses by every rule, and write table and pictures."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from vmem_ros.errors import VmemError
from vmem_ros.extras import needs_extra
from vmem_ros.generation.engines import DEFAULT_ENGINE, load_generator
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.planning.drives import VIEWS
from vmem_ros.planning.explorer import Explorer
from vmem_ros.planning.rules import RULES
from vmem_ros.pointmaps import load_estimator
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.world import World

# Houses whose routes are shown.
_SHOWN = 3


def main() -> int:
    """Compare the rules."""
    parser = argparse.ArgumentParser(prog="python -m vmem_ros.planning", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the report")
    parser.add_argument("--houses", type=int, default=6, help="evaluation houses (default 6)")
    parser.add_argument("--drives", type=int, default=6, help=f"drives of {VIEWS} views in each (default 6)")
    parser.add_argument("--width", type=int, default=96, help="of the camera in pixels, 4:3 (default 96)")
    parser.add_argument("--engine", default=DEFAULT_ENGINE, help=f"what imagines (default {DEFAULT_ENGINE})")
    parser.add_argument("--estimator", default="small", help="finds the depth of what is imagined (default small)")
    parser.add_argument("--seed", type=int, default=0, help="of where it begins, and of the random walk (default 0)")
    args = parser.parse_args()
    if not 1 <= args.houses <= len(EVALUATION_SEEDS) or args.drives < 1:
        parser.error(f"--houses must be 1 to {len(EVALUATION_SEEDS)} and --drives at least 1")
    try:
        _compare(args)
    except VmemError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _compare(args: argparse.Namespace) -> None:
    with needs_extra("evaluation", "the comparison of the rules"):
        from vmem_ros.planning.compare import explore, maps, seen_areas, write_comparison
    generator, estimator = load_generator(args.engine), load_estimator(args.estimator)
    camera = Camera.from_fov(args.width, args.width * 3 // 4, 80)
    areas: list[dict[str, list[float]]] = []
    pictures: dict[str, list[Tensor]] = {}
    for number in tqdm(EVALUATION_SEEDS[: args.houses], desc="exploring", unit="house"):
        house = House(number)
        found = explore(
            lambda house=house: Explorer(  # type: ignore[misc]
                house, World(load_memory(), generator, estimator), camera, seed=args.seed
            ),
            args.drives,
        )
        areas.append(seen_areas(found))
        if len(pictures) < _SHOWN:
            pictures[f"house {number}"] = maps(found)
        # Whoever stops it keeps what there is.
        settings = {
            "houses": f"{EVALUATION_SEEDS[0]} to {number}",
            "rules": ", ".join(RULES),
            "views": 1 + VIEWS * args.drives,
            "camera": f"{camera.width} x {camera.height}, 80 degrees",
            "engine": generator.name,
            "estimator": estimator.name,
            "seed": args.seed,
        }
        write_comparison(args.out, areas, pictures, settings)


if __name__ == "__main__":
    sys.exit(main())
