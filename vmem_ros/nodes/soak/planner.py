"""One planner of a soak: calls the camera at random until its time is up, and notes how each call ended.

python -m vmem_ros.nodes.soak.planner --seed 1 --seconds 60 --out calls.jsonl
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from vmem_ros.errors import ErrorCode, VmemError
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.script import exit_status
from vmem_ros.nodes.soak.actions import ACTIONS

# Planners think between two calls.
_PAUSE_S = 0.1


def plan(args: argparse.Namespace) -> None:
    """Call until the time is up; one line of JSON for each call."""
    rng = random.Random(args.seed)
    names = list(ACTIONS)
    weights = [ACTIONS[name].weight for name in names]
    with CameraClient() as client, args.out.open("w", encoding="utf-8") as out:
        client.wait_until_ready()
        start = time.monotonic()
        while (now := time.monotonic()) - start < args.seconds:
            name = rng.choices(names, weights)[0]
            code, message = ErrorCode.NONE, ""
            try:
                ACTIONS[name].call(client, rng)
            except VmemError as error:
                code, message = error.code, str(error)
            row = {
                "at_s": now - start,
                "call": name,
                "seconds": time.monotonic() - now,
                "code": code.name,
                "unexpected": message or code.name if code not in ACTIONS[name].codes else "",
            }
            out.write(json.dumps(row) + "\n")
            out.flush()
            time.sleep(rng.uniform(0, 2 * _PAUSE_S))


def main(arguments: Sequence[str] | None = None) -> int:
    """Plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True, help="where to write the calls")
    args = parser.parse_args(arguments)
    return exit_status("planner", lambda: plan(args))


if __name__ == "__main__":
    sys.exit(main())
