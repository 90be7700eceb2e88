"""Profile one operation of the memory at a given size, in CPU time of one thread.

python benchmarks/profile_memory.py glimpse --surfels 200000 [--by function|operator]
"""

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from vmem_ros.benchmarking.building import Building
from vmem_ros.benchmarking.memory_filler import MemoryFiller
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory

ROWS = 25


def operation(name: str, filler: MemoryFiller, calls: int) -> Callable[[], None]:
    """Return what is profiled, with its inputs made beforehand."""
    memory = filler.memory
    if name == "write":
        written = list(filler.known_views(calls))

        def write() -> None:
            for views, maps in written:
                memory.write(views, maps)
                memory.undo()

        return write
    asks = list(filler.asks(calls))

    def look() -> None:
        for targets in asks:
            memory.read(targets) if name == "read" else memory.project(targets[0])

    return look


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operation", choices=("read", "glimpse", "write"), help="write is followed by undo")
    parser.add_argument("--surfels", type=int, default=200_000)
    parser.add_argument("--size", type=int, nargs=2, default=(512, 288), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--calls", type=int, default=12)
    parser.add_argument("--by", choices=("function", "operator"), default="function", help="Python or torch")
    args = parser.parse_args()
    torch.set_num_threads(1)
    filler = MemoryFiller(Building(), Camera.from_fov(*args.size, 75), SurfelMemory())
    filler.grow(surfels=args.surfels)
    run = operation(args.operation, filler, args.calls)
    run()
    start = time.thread_time()
    run()
    per_call = 1e3 * (time.thread_time() - start) / args.calls
    if args.by == "operator":
        with profile(activities=[ProfilerActivity.CPU]) as operators:
            run()
        print(operators.key_averages().table(sort_by="self_cpu_time_total", row_limit=ROWS))
    else:
        functions = cProfile.Profile(time.thread_time)
        functions.runcall(run)
        pstats.Stats(functions).sort_stats("tottime").print_stats(ROWS)
    print(f"{args.operation} at {filler.memory.n_surfels:,} surfels: {per_call:.1f} ms of CPU a call, without profiler")


if __name__ == "__main__":
    main()
