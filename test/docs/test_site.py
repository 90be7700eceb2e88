"""The documentation as a site: it builds without warnings, no link leads nowhere, and it shows what GitHub shows."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from markdown_pages import PAGES, html_of, name_of
from repository import ROOT

# What would differ if the two read a page differently: a list that is none, a table that is text.
COMPARED = ("h1", "h2", "h3", "h4", "p", "li", "pre", "code", "table", "tr", "th", "td", "img", "a", "strong", "em")
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}


def build(root: Path, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=root,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


class Content(HTMLParser):
    """Elements, links, names and text of a page, or of its article where it has one."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: Counter[str] = Counter()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.names: set[str] = set()
        self.text = ""
        self._open: list[bool] = []
        self._inside = "<article" not in html
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: "list[tuple[str, str | None]]") -> None:
        found = dict(attributes)
        ours = "headerlink" not in (found.get("class") or "")
        if tag == "article":
            self._inside = True
        if self._inside and ours:
            self.elements[tag] += 1
        if tag not in VOID:
            self._open.append(ours and tag not in ("script", "style", "details"))
        self.names |= {str(value) for key, value in attributes if key in ("id", "name")}
        if tag == "a":
            self.links.append(found.get("href") or "")
        elif found.get("src") or tag == "link":
            self.loaded.append(found.get("src") or found.get("href") or "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._open:
            self._open.pop()
        if tag == "article":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and all(self._open):
            self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return out


@pytest.fixture(scope="module")
def contents(site: Path) -> dict[Path, Content]:
    return {file: Content(file.read_text(encoding="utf-8")) for file in site.rglob("*.html")}


def of(site: Path, page: Path) -> Path:
    """The file of the site that shows a page of the repository."""
    name = Path(name_of(page))
    return site / (name.parent if name.name == "README.md" else name.with_suffix("")) / "index.html"


@pytest.mark.slow
def test_links_of_the_site_lead_somewhere(site: Path, contents: dict[Path, Content]) -> None:
    wrong = set()
    for file, content in contents.items():
        if file.name == "404.html":  # served from any place, so its links are absolute
            continue
        for link in content.links + content.loaded:
            path, _, anchor = unquote(link).partition("#")
            if re.match(r"\w+:", path):
                continue
            target = (file.parent / path).resolve() if path else file
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file():
                wrong.add(f"{file.relative_to(site)}: {link}")
            elif anchor and target in contents and anchor not in contents[target].names:
                wrong.add(f"{file.relative_to(site)}: {link}: no such place on that page")
    assert sorted(wrong) == []


@pytest.mark.slow
def test_pages_load_nothing_from_elsewhere(contents: dict[Path, Content]) -> None:
    loaded = {each for content in contents.values() for each in content.loaded}
    assert loaded
    assert [each for each in loaded if re.match(r"(\w+:)?//", each)] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_site_shows_what_github_shows(page: Path, site: Path, contents: dict[Path, Content]) -> None:
    here, there = contents[of(site, page)], Content(html_of(page))
    assert {tag: here.elements[tag] for tag in COMPARED} == {tag: there.elements[tag] for tag in COMPARED}
    assert here.text.split() == there.text.split()


@pytest.mark.slow
def test_the_reference_shows_docstrings(site: Path, contents: dict[Path, Content]) -> None:
    """Of Sphinx: parameters are a list, and a class in the text is a link to its page."""
    world = contents[site / "reference" / "world" / "index.html"]
    assert {"vmem_ros.world.World", "vmem_ros.world.World.explore_chunks"} <= world.names
    assert "reference views that memory recalls for a chunk" in world.text
    assert "../protocols/#vmem_ros.protocols.Memory" in world.links
    left = {
        file.relative_to(site)
        for file, content in contents.items()
        if file.is_relative_to(site / "reference")
        and re.search(r":(param|return|returns|raises|class|func|meth|mod)\b[^:\n]*:", content.text)
    }
    assert left == set()


@pytest.mark.slow
def test_faults_of_a_page_end_the_build(tmp_path: Path) -> None:
    """A link and a picture that lead nowhere, a heading that is not there, and a page that the navigation lacks."""
    copy = tmp_path / "copy"
    for folder in ("docs", "tools/docs_site", "vmem_ros", "config"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    faults = "[one](nowhere.md) ![two](nothing.png) [three](install.md#nonesuch) [four](../vmem_ros/nothing.py)\n"
    (copy / "docs" / "new.md").write_text(f"# New\n\n{faults}", encoding="utf-8")
    done = build(copy, tmp_path / "out")
    assert done.returncode != 0
    for named in ("nowhere.md", "nothing.png", "#nonesuch", "nothing.py", "- docs/new.md"):
        assert named in done.stderr, done.stderr
