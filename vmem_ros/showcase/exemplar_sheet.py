"""A sheet of what is invented with and without exemplars: ``python -m vmem_ros.showcase.exemplar_sheet sheet.jpg``.

A column for each house, of one view that is largely unseen: the truth, what memory shows from one given view, what the
small network draws alone, and with details that pictures of other places lend, for two seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor
from tqdm import tqdm

from vmem_ros.evaluation.benchmark_paths import benchmark_paths
from vmem_ros.generation.engines import load_generator
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.protocols import Generator
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.types import Target, View
from vmem_ros.world import World

_SIDE, _POSES, _ACROSS = 128, 12, 7


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="picture file to write")
    parser.add_argument("--houses", type=int, default=20, help="how many, from the first on (default 20)")
    args = parser.parse_args(arguments)
    alone, lent = load_generator("vmem", exemplars="none"), load_generator("vmem")
    columns: dict[str, dict[str, Tensor]] = {}
    for seed in tqdm(EVALUATION_SEEDS[: args.houses], desc="houses", unit="house"):
        given, truth = _views(seed)
        shown, drawn = _drawn(alone, given, truth.target, seed=0)
        column = {"truth": truth.image, "memory shows": shown, "network alone": drawn}
        # Equal seeds would lend from equal pictures where nothing at all is known.
        column |= {f"exemplars, {n}. seed": _drawn(lent, given, truth.target, seed=2 * seed + n)[1] for n in (1, 2)}
        columns[f"house {seed}"] = column
    args.output.parent.mkdir(parents=True, exist_ok=True)
    heads = list(columns)
    blocks = [_block(heads[first : first + _ACROSS], columns) for first in range(0, len(heads), _ACROSS)]
    write_image_grid(args.output, blocks)
    print(f"wrote {args.output}")


def _block(heads: Sequence[str], columns: Mapping[str, Mapping[str, Tensor]]) -> Block:
    """Return some of the columns beside one another."""
    rows = {name: [columns[head][name] for head in heads] for name in columns[heads[0]]}
    return Block("from one view that was given", rows, heads)


def _views(seed: int) -> tuple[View, View]:
    """Return the view that is given in a house, and that of the loop round its room of which least is known."""
    loop, _ = benchmark_paths(House(seed), poses=2, loop=_POSES, size=_SIDE)
    hidden = [float(unseen.float().mean()) for unseen in loop.unseen]
    return loop.start, loop.truths[hidden.index(max(hidden))]


def _drawn(generator: Generator, given: View, target: Target, *, seed: int) -> tuple[Tensor, Tensor]:
    """Return what memory shows at a target, and what is drawn there: [H, W, 3] uint8 each."""
    world = World(load_memory("surfel"), generator, MemoryDepth())
    world.seed(given)
    (frame,) = world.explore([target], seed=seed)
    return frame.projection.image, frame.view.image


if __name__ == "__main__":
    main()
