"""Files that a command writes: whole ones only, and pages of which it owns a part."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a text beside ``path`` and rename it, so that an interrupted run leaves whole files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def between(text: str, marks: tuple[str, str], section: str, path: Path) -> str:
    """Return the ``text`` of a page with ``section`` in the place of what was between two lines of it.

    :param path: of the page, for the message.
    :raises ValueError: the page lacks these lines.
    """
    begin, end = marks
    before, _, rest = text.partition(begin)
    if end not in rest:
        raise ValueError(f"{path} exists and has no lines '{begin}' and '{end}' to write between: add them")
    return f"{before}{begin}\n\n{section}\n{end}{rest.partition(end)[2]}"
