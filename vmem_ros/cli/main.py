"""The verbs of ``vmem``, one module each; a verb's module is imported only when that verb is used."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from types import ModuleType

from vmem_ros import __version__
from vmem_ros.errors import VmemError
from vmem_ros.extras import needs_extra
from vmem_ros.process import keep_freed_memory, set_thread_waiting

#: Verb: what it does. ``vmem_ros.cli.<verb>`` has ``add_arguments(parser)`` and ``run(args)``.
VERBS = {
    "explore": "draw views of a photo, a recording or a procedural house, from poses no camera visited",
    "view": "look at a world in the browser, fly through it, and draw more of it",
    "fetch": "fetch what an engine needs, or the depth network that photographs want",
    "record": "record a walk through a procedural house, as noisy as a real camera's",
    "collect": "collect pictures of places that lend details to what the small model draws where nobody looked",
    "bench": "measure what the camera costs on this machine",
    "soak": "run the camera node under mixed load for a while, and tell what grew",
    "train": "train a small model, or an adapter, on procedural houses",
    "ship": "put a trained model into the package",
    "evaluate": "judge what a world remembers: in houses, `vmem evaluate recorded` by what real cameras saw, "
    "`vmem evaluate memories` memories side by side, `vmem evaluate systems` with the networks that go with them",
    "fleet": "`vmem fleet bench`: what many worlds on one machine or on a Ray cluster cost",
    "convert": "turn published weights into a folder that the camera's engine 'vmem' loads",
}
#: Verb: the extra that it needs, if any.
EXTRAS = {
    "explore": "showcase",
    "record": "recordings",
    "collect": "training",
    "bench": "benchmarking",
    "soak": "benchmarking",
    "train": "training",
    "ship": "training",
    "evaluate": "evaluation",
    "fleet": "fleet",
    "view": "viewer",
}

#: Verbs whose next word may be another verb: ``vmem evaluate recorded`` is ``vmem_ros.cli.evaluate_recorded``.
_OF_TWO_WORDS = {("evaluate", "recorded"), ("evaluate", "memories"), ("evaluate", "systems")}
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
    parser, verb, rest = parser_of([name, *arguments])
    verb.run(parser.parse_args(rest))


def parser_of(words: Sequence[str]) -> tuple[argparse.ArgumentParser, ModuleType, Sequence[str]]:
    """Return the parser of the verb that words begin with, its module, and the arguments that follow it."""
    count = 2 if tuple(words[:2]) in _OF_TWO_WORDS else 1
    verb = importlib.import_module(f"vmem_ros.cli.{'_'.join(words[:count])}")
    parser = argparse.ArgumentParser(prog=f"vmem {' '.join(words[:count])}", description=verb.__doc__)
    verb.add_arguments(parser)
    return parser, verb, words[count:]
