"""What ``mkdocs.yml`` lets MkDocs do besides rendering: the repository's tree as the site's, a reference, source files.

The site has every page at the place that it has in the repository, so that a link between files is a link between
pages. What pages link to outside of them, a module or a folder of the package, becomes a page of its own.
"""

import ast
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "vmem_ros"
PAGES_ABOVE = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
# Reports as a program left them; the page beside them has the same tables.
LEFT_OUT = "report.md"
# Rooms that nobody imports from outside.
INNER = {"benchmarking", "cli", "interrupts", "kernels", "models", "nodes", "out_of_memory", "process", "tiles"}
SHOWN_AS_CODE = {".py": "python", ".xml": "xml", ".yaml": "yaml"}
_LINK = re.compile(r"(?<=\]\()(?!\w+:)([^)#\s]+)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the reference to the navigation: a page for each room of the package."""
    pages = [{name: _page_of(name)} for name in _rooms()]
    config.nav = [*(config.nav or []), {"Python reference": pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Put the pages where the repository has them, and beside them what they link to."""
    shown = Files([file for file in files if file.generated_by or not file.src_dir or file.src_dir != config.docs_dir])
    below = [Path("docs", file.src_uri) for file in files if file.src_dir == config.docs_dir]
    for path in [*map(Path, PAGES_ABOVE), *below]:
        if path.name != LEFT_OUT and (ROOT / path).is_file():
            shown.append(File(str(path), str(ROOT), config.site_dir, config.use_directory_urls))
    for card in sorted(PACKAGE.glob("models/*/README.md")):
        shown.append(_shown(card.relative_to(ROOT), config))
    for name in _rooms():
        shown.append(File.generated(config, _page_of(name), content=_reference(name)))
    waiting = [file for file in shown if file.is_documentation_page() and file.src_dir == str(ROOT)]
    while waiting:
        for target in _targets(waiting.pop()):
            added = _shown(target, config)
            if added.src_uri not in shown.src_uris:
                shown.append(added)
                if added.src_dir == str(ROOT) and added.is_documentation_page():
                    waiting.append(added)
    return shown


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links to modules and folders lead to the pages that show them."""
    if page.file.src_uri == "README.md":
        page.meta["hide"] = ["navigation"]  # the tabs are all there is beside it
    folder = Path(page.file.src_uri).parent

    def lead(match: "re.Match[str]") -> str:
        target = ROOT / folder / match[1]
        if target.is_dir():
            return f"{match[1].rstrip('/')}/index.md"
        return f"{match[1]}.md" if target.suffix in SHOWN_AS_CODE and target.is_file() else match[1]

    return _LINK.sub(lead, markdown) if page.file.src_dir == str(ROOT) else markdown


def _rooms() -> list[str]:
    """Modules and packages of the library that users import, and the ROS client."""
    found = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    return [*sorted(f"vmem_ros.{name}" for name in found - INNER - {"__init__"}), "vmem_ros.nodes.client"]


def _page_of(name: str) -> str:
    return f"reference/{name.removeprefix('vmem_ros.')}.md"


def _reference(name: str) -> str:
    """The page of a room: what its package exports, or what its modules define."""
    path = ROOT / Path(*name.split("."))
    page = f"::: {name}\n    options:\n      heading_level: 1\n      show_root_full_path: true\n"
    if path.is_dir() and not _exports(path / "__init__.py"):
        page += "".join(f"\n::: {name}.{file.stem}\n" for file in sorted(path.glob("[!_]*.py")))
    return page


def _exports(file: Path) -> bool:
    names = (
        target
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        for target in node.targets
    )
    return any(isinstance(name, ast.Name) and name.id == "__all__" for name in names)


def _targets(file: File) -> list[Path]:
    """What in the repository a page links to, relative to the root."""
    base = (ROOT / file.src_uri).parent
    found = {(base / target).resolve() for target in _LINK.findall(file.content_string)}
    return sorted(path.relative_to(ROOT) for path in found if path.exists() and path.is_relative_to(ROOT))


def _shown(path: Path, config: MkDocsConfig) -> File:
    """The file of the site that shows a file or folder of the repository."""
    if (ROOT / path).is_dir():
        is_package = (ROOT / path / "__init__.py").is_file()
        return _generated(config, f"{path}/index.md", f"::: {'.'.join(path.parts)}" if is_package else "")
    if path.suffix in SHOWN_AS_CODE:
        text = (ROOT / path).read_text(encoding="utf-8")
        return _generated(config, f"{path}.md", f"````{SHOWN_AS_CODE[path.suffix]}\n{text}````")
    file = File(str(path), str(ROOT), config.site_dir, config.use_directory_urls)
    file.inclusion = InclusionLevel.NOT_IN_NAV
    return file


def _generated(config: MkDocsConfig, name: str, content: str) -> File:
    """A page outside of the navigation."""
    title = Path(name).parent if name.endswith("index.md") else name.removesuffix(".md")
    file = File.generated(config, name, content=f"# {title}\n\n{content}\n")
    file.inclusion = InclusionLevel.NOT_IN_NAV
    return file
