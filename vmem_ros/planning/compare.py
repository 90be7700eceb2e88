"""The rules side by side: how much surface of several houses each of them sees with as many views."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from vmem_ros.planning.drives import VIEWS
from vmem_ros.planning.explorer import Explorer, route
from vmem_ros.planning.rules import RULES, Rule
from vmem_ros.reporting.floor_map import FloorMap
from vmem_ros.reporting.image_grid import Block, write_image_grid
from vmem_ros.reporting.intervals import mean_interval, paired_difference
from vmem_ros.reporting.plots import Panel, draw_lines
from vmem_ros.reporting.report import Report
from vmem_ros.reporting.tables import Column, Table, Value

_MAP_SIZE = (280, 280)


def explore(begin: Callable[[], Explorer], drives: int, rules: Mapping[str, Rule] = RULES) -> dict[str, Explorer]:
    """Return explorers by rule, all begun alike, after so many drives."""
    out = {}
    for name, rule in rules.items():
        explorer = begin()
        for _ in range(drives):
            explorer.follow(rule(explorer))
        out[name] = explorer
    return out


def seen_areas(found: Mapping[str, Explorer]) -> dict[str, list[float]]:
    """Return the surface seen after each view, in square metres, by rule."""
    return {name: explorer.areas_m2 for name, explorer in found.items()}


def maps(found: Mapping[str, Explorer]) -> list[torch.Tensor]:
    """Return a map of what is remembered and of the route for each rule, [H, W, 3] uint8."""
    routes = [route(explorer) for explorer in found.values()]
    return [
        FloorMap(explorer.world.memory.elements(), torch.cat(routes), size=_MAP_SIZE).image(robot=own[:1], path=own)
        for explorer, own in zip(found.values(), routes, strict=True)
    ]


def area_table(areas: Sequence[Mapping[str, Sequence[float]]]) -> Table:
    """Return what each rule has seen with its last view.

    :param areas: one mapping per house, as of :func:`seen_areas`.
    """
    last = {name: [house[name][-1] for house in areas] for name in areas[0]}
    views = len(next(iter(areas[0].values())))
    best = next(iter(last))
    rows: list[dict[str, Value]] = []
    for name, values in last.items():
        more = paired_difference(last[best], values)
        wins = sum(a > b for a, b in zip(last[best], values, strict=True))
        rows.append(
            {
                "rule": name,
                "seen, m²": mean_interval(values).text(1),
                "a view, m²": mean_interval(values).mean / views,
                f"{best} sees more, m²": more.text(1, signed=True) if name != best else "",
                "in houses": f"{wins} of {len(areas)}" if name != best else "",
            }
        )
    note = (
        f"Surface seen with {views} views in {len(areas)} houses: cells of 10 cm that a depth camera has hit, each "
        "counted as its square. Means with 95 % intervals; differences house by house."
    )
    return Table("Surface seen", rows, note, {"a view, m²": Column(2, "higher")})


def write_comparison(
    folder: Path,
    areas: Sequence[Mapping[str, Sequence[float]]],
    pictures: Mapping[str, Sequence[torch.Tensor]],
    settings: Mapping[str, Value],
) -> None:
    """Write ``report.md``, ``report.json``, ``area.png`` and ``routes.png`` into a folder.

    :param pictures: the maps of :func:`maps` of some houses, by the name of the house.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = list(areas[0])
    views = len(areas[0][names[0]])
    lines = {name: [mean_interval([house[name][i] for house in areas]).mean for i in range(views)] for name in names}
    panel = Panel(f"Mean of {len(areas)} houses", "views", list(range(1, views + 1)), lines, {})
    draw_lines(folder / "area.png", [panel], y_label="surface seen, m²")
    write_image_grid(folder / "routes.png", [Block("Routes, and what is remembered", pictures, heads=names)])
    Report(
        "Next best view",
        f"A robot explores houses by several rules, {VIEWS} views a drive.",
        [area_table(areas)],
        [("area.png", "Surface seen after each view."), ("routes.png", "Blue: where it begins. Orange: its views.")],
        settings,
    ).write(folder)
