"""Install the virtual environment and build the ROS package, each only when what it depends on has changed.

Runs with the machine's own Python and its standard library alone; ``tools/prepare.sh`` finds that Python.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import machine

ROOT = Path(__file__).resolve().parent.parent
OVERLAY = Path("test/overlay/tf2_msgs")
# Folders whose Python and data files the build only links: a new name needs another build, new content does not.
LINKED = ("vmem_ros", "launch", "config")
BUILT = ("package.xml", "CMakeLists.txt", "cmake", "src", "msg", "srv", "action", str(OVERLAY))


class Layout:
    """Where things lie for one distribution: ``.venv``, ``build`` ... for jazzy, ``.venv-kilted`` ... for kilted."""

    def __init__(self, distro: str) -> None:
        suffix = "" if distro == "jazzy" else f"-{distro}"
        self.distro = distro
        self.venv = ROOT / f".venv{suffix}"
        self.build = ROOT / f"build{suffix}"
        self.install = ROOT / f"install{suffix}"
        self.log = ROOT / f"log{suffix}"
        self.python = self.venv / "bin" / "python"
        self.requirements = [ROOT / "requirements" / f"{name}.txt" for name in ("core", "dev", "docs", distro)]
        self.installed = self.venv / ".vmem_installed.json"
        self.built = self.install / ".vmem_built.json"


def install(layout: Layout, *, building: bool) -> None:
    """Create the environment and install the pinned requirements into it, unless the stamp says so already.

    An environment that satisfies the requirements is adopted as it is; one of another Python, or one that was moved,
    is made anew.
    """
    wanted = {"prefix": str(layout.venv), "python": _minor_version(), "requirements": _digest(layout.requirements)}
    if _read(layout.installed) == wanted:
        return
    machine.check(ROOT, building=building)  # also for the build, which comes minutes later
    if layout.venv.exists() and _environment(layout.python) != (wanted["prefix"], wanted["python"]):
        print(f"{layout.venv} belongs to another Python or place: making it anew", flush=True)
        shutil.rmtree(layout.venv)
    if not layout.python.exists():
        print(f"creating {layout.venv} with Python {wanted['python']} ({sys.executable})", flush=True)
        _run([sys.executable, "-m", "venv", str(layout.venv)])
    print(f"installing the pinned requirements of ROS 2 {layout.distro}, torch and the tools", flush=True)
    pip = [str(layout.python), "-m", "pip", "--disable-pip-version-check", "install"]
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    _run([*pip, *quiet, *(part for file in layout.requirements for part in ("-r", str(file)))])
    _write(layout.installed, wanted)


def build(layout: Layout) -> None:
    """Build the package and the ``tf2_msgs`` overlay with colcon, unless the stamp says so already."""
    linked = sorted(str(path.relative_to(ROOT)) for path in _files(map(Path, LINKED)))
    wanted = {
        "root": str(ROOT),
        "environment": _read(layout.installed),
        "sources": _digest(_files(map(Path, BUILT))),
        "linked": hashlib.sha256("\n".join(linked).encode()).hexdigest(),
    }
    built = _read(layout.built)
    if built == wanted:
        return
    machine.check(ROOT, building=True)
    if built is not None and (built["root"], built["environment"]) != (wanted["root"], wanted["environment"]):
        for folder in (layout.build, layout.install):  # their files name the old root or the old environment
            shutil.rmtree(folder, ignore_errors=True)
    print(f"building the package for ROS 2 {layout.distro}", flush=True)
    _run([str(layout.python), str(ROOT / "tools" / "fix_wheel_paths.py")])
    colcon = [
        *("colcon", "--log-base", str(layout.log), "--log-level", "error", "build", "--symlink-install"),
        *("--base-paths", ".", str(OVERLAY)),
        *("--build-base", str(layout.build), "--install-base", str(layout.install)),
        *("--cmake-args", "--no-warn-unused-cli", "-DBUILD_TESTING=ON", f"-DPython3_EXECUTABLE={layout.python}"),
        f"-DVMEM_SHEBANG={_shebang(layout.python)}",
    ]
    in_environment = ["bash", "-c", '. tools/venv_env.sh "$0" && exec "$@"', str(layout.venv)]
    # The user's colcon defaults must not change this build, and make's job server is not meant for the one below it.
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    _run([*in_environment, *colcon], env={**environment, "COLCON_DEFAULTS_FILE": os.devnull})
    _write(layout.built, wanted)


def _shebang(python: Path) -> str:
    """The environment's interpreter, or a search on the PATH where its own path is longer than kernels take."""
    return str(python) if len(str(python)) < 120 else "/usr/bin/env python3"


def _environment(python: Path) -> "tuple[str, str] | None":
    """Prefix and version of the environment that ``python`` belongs to, as itself says; None if it does not run."""
    probe = 'import sys; print(sys.prefix); print("%d.%d" % sys.version_info[:2])'
    try:
        answer = subprocess.run([str(python), "-c", probe], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    prefix, version = answer.splitlines()
    return prefix, version


def _minor_version() -> str:
    return "{}.{}".format(*sys.version_info)


def _files(paths: Iterable[Path]) -> "list[Path]":
    """All files below ``paths`` (relative to the root), without what Python leaves behind."""
    found: list[Path] = []
    for path in paths:
        below = (ROOT / path).rglob("*") if (ROOT / path).is_dir() else [ROOT / path]
        found += (file for file in below if file.is_file() and "__pycache__" not in file.parts)
    return sorted(found)


def _digest(files: Iterable[Path]) -> str:
    """Hash of the names and contents of ``files``."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _read(stamp: Path) -> "dict | None":
    try:
        return json.loads(stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write(stamp: Path, content: dict) -> None:
    stamp.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _run(command: "list[str]", *, env: "dict[str, str] | None" = None) -> None:
    subprocess.run(command, check=True, cwd=ROOT, env=env)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--distro", choices=("jazzy", "kilted"), required=True)
    parser.add_argument("--install-only", action="store_true", help="leave the ROS package unbuilt")
    arguments = parser.parse_args()
    layout = Layout(arguments.distro)
    lock = os.open(ROOT, os.O_RDONLY)  # one at a time; the lock goes with the process
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        install(layout, building=not arguments.install_only)
        if not arguments.install_only:
            build(layout)
    except machine.MachineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        print(f"error: exit status {error.returncode} from: {' '.join(map(str, error.cmd))}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
