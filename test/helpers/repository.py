"""Where the checkout is, and what its manifest and build file say."""

import re
import subprocess
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()


def files_below(folder: Path) -> set[str]:
    """Relative paths of all files in a folder and those in it; there must be some."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found, f"nothing in {folder}"
    return found


def checkout_files() -> list[str]:
    """Relative paths of the files that others get: those that git has, and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def executables() -> list[tuple[str, str]]:
    """Name and module of each executable that CMakeLists.txt installs."""
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    found = re.findall(r"^vmem_python_executable\((\S+) \$\{PROJECT_NAME\}(\S+) ", cmake, re.MULTILINE)
    return [(name, f"vmem_ros{module}") for name, module in found]
