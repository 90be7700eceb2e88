"""The verbs of ``vmem``, one module each; a verb's module is imported only when that verb is used."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from vmem_ros import __version__
from vmem_ros.errors import VmemError
from vmem_ros.extras import needs_extra
from vmem_ros.process import keep_freed_memory, set_thread_waiting

#: Verb: what it does. ``vmem_ros.cli.<verb>`` has ``add_arguments(parser)`` and ``run(args)``.
VERBS = {
    "explore": "draw views of a photo with depth, or of a procedural house, from poses no camera visited",
    "record": "record a walk through a procedural house, as noisy as a real camera's",
    "bench": "measure what the camera costs on this machine",
    "train": "train a small model, or an adapter, on procedural houses",
    "ship": "put a trained model into the package",
    "evaluate": "judge what a model's world remembers, with parts of the memory taken away",
    "convert": "turn published weights into a folder that the camera's engine 'vmem' loads",
}
#: Verb: the extra that it needs, if any.
EXTRAS = {
    "explore": "showcase",
    "record": "recordings",
    "bench": "benchmarking",
    "train": "training",
    "ship": "training",
    "evaluate": "evaluation",
}

_EXIT_ERROR, _EXIT_INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``vmem`` and return its exit code: 0, 1 after an error, 2 for wrong arguments, 130 after Ctrl-C."""
    verbs = "\n".join(f"  {verb:10}{purpose}" for verb, purpose in VERBS.items())
    parser = argparse.ArgumentParser(
        prog="vmem",
        description="A generative world that remembers what it showed. This command needs no ROS; the ROS 2 camera is\n"
        "started with `ros2 run vmem_ros vmem_camera`.",
        epilog=f"verbs:\n{verbs}\n\nHelp on one of them: vmem VERB --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vmem_ros {__version__}")
    parser.add_argument("verb", metavar="VERB", choices=VERBS, help=f"one of: {', '.join(VERBS)}")
    parser.add_argument("rest", metavar="...", nargs=argparse.REMAINDER, help="arguments of the verb")
    given = parser.parse_args(arguments)
    set_thread_waiting(os.environ)
    keep_freed_memory()
    extra = EXTRAS.get(given.verb)
    try:
        with needs_extra(extra, f"vmem {given.verb}") if extra else nullcontext():
            _run(given.verb, given.rest)
    except (VmemError, OSError, ValueError) as error:
        print(f"vmem {given.verb}: {type(error).__name__}: {error}", file=sys.stderr)
        return _EXIT_ERROR
    except KeyboardInterrupt:
        print(f"vmem {given.verb}: interrupted", file=sys.stderr)
        return _EXIT_INTERRUPTED
    return 0


def _run(name: str, arguments: Sequence[str]) -> None:
    verb = importlib.import_module(f"vmem_ros.cli.{name}")
    parser = argparse.ArgumentParser(prog=f"vmem {name}", description=verb.__doc__)
    verb.add_arguments(parser)
    verb.run(parser.parse_args(arguments))
