"""What an exploration leaves behind: contact sheet, animation, cloud of the memory, report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from vmem_ros.evaluation.registry import PSNR
from vmem_ros.reporting.ply import write_ply
from vmem_ros.reporting.report import Report
from vmem_ros.reporting.sample import Sample
from vmem_ros.reporting.tables import Table, Value
from vmem_ros.showcase.comparison import Comparison, compare
from vmem_ros.showcase.contact_sheet import write_animation, write_contact_sheet
from vmem_ros.types import Elements, View

CONTACT_SHEET, ANIMATION, CLOUD = "contact_sheet.png", "loop.gif", "cloud.ply"


@dataclass(frozen=True, eq=False)
class Exploration:
    """Everything that was asked of a world and answered.

    :param path: along a path; where it is closed, its last pose is its first.
    :param there_and_back: along a path whose pose i equals pose n - 1 - i; may be empty.
    :param observed: the views that a real camera took.
    :param exact: whether their depth, and that of the truth, is exact and everywhere.
    :param elements: what the world remembers in the end.
    :param engine: name of the generator.
    """

    path: Sequence[Sample]
    there_and_back: Sequence[Sample]
    observed: Sequence[View]
    elements: Elements
    engine: str
    exact: bool
    settings: Mapping[str, Value] = field(default_factory=dict)


def write_results(folder: Path, exploration: Exploration, *, title: str, more: Sequence[Table] = ()) -> None:
    """Write ``contact_sheet.png``, ``loop.gif``, ``cloud.ply``, ``report.md`` and ``report.json``.

    :param more: tables that follow those of section "against the truth" and "consistency with itself".
    """
    e = exploration
    comparison = compare(e.path, e.there_and_back, e.observed, engine=e.engine, exact=e.exact)
    robot = torch.stack([view.T_world_camera for view in e.observed])
    write_contact_sheet(
        folder / CONTACT_SHEET, e.path, elements=e.elements, robot=robot, title=title, facts=_facts(e, comparison)
    )
    write_animation(folder / ANIMATION, e.path, elements=e.elements, robot=robot)
    write_ply(folder / CLOUD, e.elements)
    views = len(e.path) + len(e.there_and_back)
    summary = (
        f"A camera took {len(e.observed)} views. {views} views were then asked for at poses where it never was, and "
        f"drawn by the engine `{e.engine}` from what the world remembers: {len(e.elements):,} points in the end."
    )
    pictures = [(CONTACT_SHEET, "Some of the poses asked for, and the answers"), (ANIMATION, "The whole path")]
    Report(title, summary, [*comparison.tables(), *more], pictures, e.settings).write(folder)


def _facts(e: Exploration, comparison: Comparison) -> list[tuple[str, str]]:
    """Return the figures for the head of the contact sheet, (value, meaning)."""
    remembered, seen = (
        sum(share) / len(e.path) for share in zip(*((s.remembered, s.observed) for s in e.path), strict=True)
    )
    where = "in a closed loop" if comparison.loop else "where no camera was"
    facts = [
        (str(len(e.path)), f"poses asked for {where}"),
        (f"{remembered:.0%}", f"of their pixels were remembered, {seen:.0%} from the real camera"),
    ]
    measured = {
        "against the truth on average": comparison.fidelity,
        "between the last view and the first, at one pose": comparison.loop,
        "between the way back and the way out": comparison.back,
    }
    facts += [(PSNR.text(of[e.engine][PSNR.name]), meaning) for meaning, of in measured.items() if of]
    return [*facts, (f"{len(e.elements):,}", "points in the memory")]
