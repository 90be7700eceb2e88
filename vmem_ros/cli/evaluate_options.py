"""What all kinds of ``vmem evaluate`` share: options for metrics, threads and reports, and checks before any work."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from vmem_ros.kernels import default_threads
from vmem_ros.reporting.sections import Marks, marks_in
from vmem_ros.scenes import EVALUATION_SEEDS


def add_metric_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--metric``."""
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="MODULE:METRIC",
        help="one more metric, an object of vmem_ros.evaluation.registry.Metric; repeatable",
    )


def add_report_options(parser: argparse.ArgumentParser, *, out: str) -> None:
    """Add ``--threads``, ``--out`` with its default, and ``--markdown``."""
    parser.add_argument(
        "--threads",
        type=int,
        default=default_threads(),
        help="threads of torch (default: all cores but one, at least one)",
    )
    parser.add_argument("--out", type=Path, default=Path(out), help=f"folder for the results (default {out})")
    parser.add_argument(
        "--markdown",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="put the report into this page too, or the short table, as its marks say; repeatable",
    )


def check_least(args: argparse.Namespace, least: Mapping[str, int]) -> None:
    """Raise :class:`ValueError` for an option that is less than it may be.

    :param least: by the name of the option.
    """
    for name, lowest in least.items():
        if getattr(args, name) < lowest:
            raise ValueError(f"--{name} must be at least {lowest}, got {getattr(args, name)}")


def check_houses(houses: int) -> None:
    """Raise :class:`ValueError` for more evaluation houses than there are."""
    if houses > len(EVALUATION_SEEDS):
        raise ValueError(f"--houses must be at most {len(EVALUATION_SEEDS)}, got {houses}")


def check_pages(pages: Iterable[Path], known: Sequence[Marks]) -> None:
    """Raise :class:`ValueError` for a page that cannot be written to: now, not after the first result.

    :param known: pairs of marks of which a page that exists has one.
    """
    for page in pages:
        if page.exists():
            marks_in(page.read_text(encoding="utf-8"), known, page)
