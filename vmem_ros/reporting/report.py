"""Reports: the same figures as report.md for people and report.json for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from vmem_ros.files import write_text
from vmem_ros.reporting.json_text import as_json
from vmem_ros.reporting.machine import describe_machine
from vmem_ros.reporting.tables import Table, Value, value_text


@dataclass(frozen=True)
class Report:
    """What was done and what came out.

    :param summary: one paragraph.
    :param pictures: (file beside the report, caption).
    """

    title: str
    summary: str
    tables: Sequence[Table]
    pictures: Sequence[tuple[str, str]] = ()
    settings: Mapping[str, Value] = field(default_factory=dict)

    def body(self, *, pictures_in: str = "") -> str:
        """Return everything under the title as Markdown.

        :param pictures_in: folder of the pictures as seen from the page; empty: they are beside it.
        """
        prefix = f"{pictures_in}/" if pictures_in else ""
        parts = [self.summary, ""]
        parts += [f"![{caption}]({prefix}{name})\n\n*{caption}*\n" for name, caption in self.pictures]
        parts += [table.markdown() for table in self.tables]
        parts += ["## How", "", *(f"- {k}: {value_text(v)}" for k, v in self.settings.items())]
        parts += [*(f"- {k}: {v}" for k, v in describe_machine().items()), f"- date: {_now()}", ""]
        return "\n".join(parts)

    def write(self, folder: Path) -> None:
        """Write ``report.md`` and ``report.json`` into a folder."""
        write_text(folder / "report.md", f"# {self.title}\n\n{self.body()}")
        record = {
            "title": self.title,
            "date": _now(),
            "machine": describe_machine(),
            "settings": self.settings,
            "tables": {table.title: table.rows for table in self.tables},
        }
        write_text(folder / "report.json", as_json(record))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
