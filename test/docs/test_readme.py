"""README.md is read in three minutes, and says nothing that the pages behind it do not."""

import re

from markdown_pages import blocks
from repository import ROOT

README = ROOT / "README.md"
TEXT = README.read_text(encoding="utf-8")


def test_it_is_short() -> None:
    words = [word for word in TEXT.split() if re.search(r"\w", word)]
    assert len(words) <= 1000


def test_pictures_come_first() -> None:
    assert TEXT.index("![") < 1000


def test_its_figures_are_those_of_the_results() -> None:
    results = set(re.findall(r"\d[\d,.]*\d|\d", (ROOT / "docs" / "results.md").read_text(encoding="utf-8")))
    figures = set(re.findall(r"(\d[\d,.]*) (?:dB|ms|surfels)\b", TEXT))
    assert len(figures) >= 5
    assert figures - results == set()


def test_its_commands_need_no_scrolling() -> None:
    assert max(len(line) for block in blocks(README) for line in block.text.splitlines()) <= 120
