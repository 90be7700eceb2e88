"""Tables of figures as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from vmem_ros.reporting.intervals import number_text

Value = str | int | float
#: Which way a figure is better.
Better = Literal["higher", "lower"]
#: How the head of a column says it.
ARROWS: Mapping[Better, str] = {"higher": "↑", "lower": "↓"}


@dataclass(frozen=True)
class Column:
    """How the figures of a column are written.

    :param digits: decimals; ``None``: three significant digits.
    :param better: which way is better, if either is.
    """

    digits: int | None = None
    better: Better | None = None


@dataclass(frozen=True)
class Table:
    """A table of figures.

    :param rows: one mapping from column name to value per row, all with the same columns.
    :param note: a sentence under the table: what was measured how.
    :param columns: how columns are written, by name; the others are plain.
    """

    title: str
    rows: Sequence[Mapping[str, Value]]
    note: str = ""
    columns: Mapping[str, Column] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return the table as Markdown under its title."""
        return f"## {self.title}\n\n{self.body()}"

    def body(self) -> str:
        """Return the table and its note as Markdown; an arrow in the head of a column says which way is better."""
        names = list(self.rows[0]) if self.rows else []
        columns = {name: self.columns.get(name, Column()) for name in names}
        heads = [name if c.better is None else f"{name} {ARROWS[c.better]}" for name, c in columns.items()]
        lines = [_line(heads), _line(["---"] * len(names))]
        lines += [_line([value_text(row[name], c.digits) for name, c in columns.items()]) for row in self.rows]
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def value_text(value: Value, digits: int | None = None) -> str:
    """Return a value as it stands in a table: with its decimals, or three significant digits."""
    if not isinstance(value, float):
        return str(value)
    if digits is not None or not math.isfinite(value):
        return number_text(value, digits or 0)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1g}" if 0 < abs(value) < 1e-3 else f"{value:.3g}"
