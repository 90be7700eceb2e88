"""Pages of which a command owns a part: what stands between two lines of its own."""

from __future__ import annotations

from pathlib import Path


def replace_section(page: str, marks: tuple[str, str], section: str, path: Path) -> str:
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
