"""The pages of the documentation, and what a reader of GitHub finds in them."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from repository import ROOT

_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])
#: What people read: the pages at the root, those in docs/, and the cards of the models that come along.
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "vmem_ros" / "models").glob("*/README.md")),
]


@dataclass(frozen=True)
class Block:
    """A block of code: its language, empty where none is named, and the line of the page after it, from 0."""

    page: Path
    language: str
    text: str
    end: int

    @property
    def before(self) -> str:
        """The page up to and with this block."""
        return "".join(self.page.read_text(encoding="utf-8").splitlines(keepends=True)[: self.end])

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.end}"


def name_of(page: Path) -> str:
    """Return a page's path from the root."""
    return str(page.relative_to(ROOT))


def html_of(page: Path) -> str:
    """Return a page as GitHub renders it."""
    return _MARKDOWN.render(page.read_text(encoding="utf-8"))


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of code of a page, fenced and indented, also those in lists."""
    for token in _tokens(page):
        if token.type in ("fence", "code_block"):
            yield Block(page, token.info.strip(), token.content, token.map[1])


def spans(page: Path) -> list[str]:
    """Return the code within the sentences and tables of a page."""
    return [" ".join(token.content.split()) for token in _tokens(page) if token.type == "code_inline"]


def links(page: Path) -> list[str]:
    """Return what a page links to and the pictures it shows, as written."""
    return [
        str(token.attrGet("href") or token.attrGet("src"))
        for token in _tokens(page)
        if token.type in ("link_open", "image")
    ]


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    tokens = _MARKDOWN.parse(page.read_text(encoding="utf-8"))
    found: set[str] = set()
    for opening, inside in itertools.pairwise(tokens):
        if opening.type == "heading_open":
            text = "".join(child.content for child in inside.children or [] if child.type in ("text", "code_inline"))
            slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
            again = (f"{slug}-{i}" for i in range(1, 1000))
            found.add(slug if slug not in found else next(name for name in again if name not in found))
    return found


def _tokens(page: Path) -> Iterator[Token]:
    for token in _MARKDOWN.parse(page.read_text(encoding="utf-8")):
        yield token
        yield from token.children or []
