"""Pages of which a command owns a part: what stands between two lines of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vmem_ros.files import write_text

#: The two lines between which a command writes.
Marks = tuple[str, str]


def replace_section(page: str, marks: Marks, section: str, path: Path) -> str:
    """Return the text of a page with ``section`` in the place of what stood between two lines of it.

    :param marks: the two lines.
    :param path: of the page, for the message.
    :raises ValueError: the page lacks these lines.
    """
    begin, end = marks
    before, _, rest = page.partition(begin)
    if end not in rest:
        raise ValueError(f"{path} exists and has no lines '{begin}' and '{end}' to write between: add them")
    return f"{before}{begin}\n\n{section}\n{end}{rest.partition(end)[2]}"


def marks_in(page: str, known: Sequence[Marks], path: Path) -> list[Marks]:
    """Return which of some pairs of marks a page has.

    :param path: of the page, for the message.
    :raises ValueError: it has none of them, or one line of a pair alone.
    """
    found = [marks for marks in known if marks[0] in page]
    for marks in found or known[:1]:
        replace_section(page, marks, "", path)
    return found


def write_sections(path: Path, sections: Mapping[Marks, str], *, title: str) -> None:
    """Write those sections to a page that it has marks for; a new page gets the first of them.

    :param title: of a new page.
    :raises ValueError: the page exists and has no marks for any.
    """
    first = next(iter(sections))
    page = path.read_text(encoding="utf-8") if path.exists() else f"# {title}\n\n{first[0]}\n{first[1]}\n"
    for marks in marks_in(page, list(sections), path):
        page = replace_section(page, marks, sections[marks], path)
    write_text(path, page)
