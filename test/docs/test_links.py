"""Links and pictures of the pages, as GitHub resolves them: by the tree of the repository."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

from markdown_pages import PAGES, anchors, links, name_of
from repository import ROOT, checkout_files


@pytest.fixture(scope="module")
def committed() -> set[Path]:
    """Files that others get, and the folders that they are in."""
    files = {ROOT / name for name in checkout_files()}
    return files | {folder for file in files for folder in file.parents}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path, committed: set[Path]) -> None:
    wrong = []
    for link in links(page):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if target not in committed:
            wrong.append(f"{link}: no such file in the repository")
        elif anchor and anchor not in anchors(target):
            wrong.append(f"{link}: no such heading; there are {sorted(anchors(target))}")
    assert wrong == []


def test_there_are_links() -> None:
    assert sum(len(links(page)) for page in PAGES) > 150


def test_every_page_is_once_in_the_navigation() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2].partition("\nvalidation:")[0]
    places = re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)
    pages = [name_of(page) for page in PAGES if page.parent in (ROOT, ROOT / "docs")]
    assert sorted(place for place in places if not place.startswith("vmem_ros/")) == sorted(pages)
