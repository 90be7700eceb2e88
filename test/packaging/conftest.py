"""The archive and the wheel of this checkout, and environments with nothing but what pip puts there."""

import fcntl
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from outside import run_outside
from repository import ROOT, checkout_files


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what others get of this checkout, with ``dist/``: the source archive and, built from it, the wheel.

    All processes of a test run share it.
    """
    shared = tmp_path_factory.getbasetemp()
    folder = (shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared) / "source"
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "dist").exists():
            _copy_checkout(folder)
            command = [sys.executable, "-m", "build", "--no-isolation", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return folder


def _copy_checkout(folder: Path) -> None:
    for name in checkout_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="session")
def wheel(source: Path) -> Path:
    """The wheel of this checkout."""
    (wheel,) = source.glob("dist/*.whl")
    return wheel


@pytest.fixture(scope="session")
def library(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel. It sees this one's packages, those of all extras, but not its ROS."""
    environment = _installed(wheel, tmp_path_factory.mktemp("library"))
    # Folders that a .pth file adds are searched, but their own .pth files are not run: the ROS loader stays off.
    (_site(environment) / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return environment


@pytest.fixture(scope="session")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel, what its metadata asks for, what that asks for, and nothing else."""
    environment = _installed(wheel, tmp_path_factory.mktemp("plain"))
    needed = ["vmem_ros"]
    found: dict[str, Distribution] = {}
    while needed:
        name = needed.pop()
        if name in found:
            continue
        found[name] = distribution(name) if name != "vmem_ros" else _only(environment)
        asked = map(Requirement, found[name].requires or [])
        needed += [each.name for each in asked if each.marker is None or each.marker.evaluate({"extra": ""})]
    del found["vmem_ros"]
    for each in found.values():
        _link(each, _site(environment))
    return environment


def _installed(wheel: Path, folder: Path) -> Path:
    """A new environment in ``folder``, into which pip puts the wheel alone."""
    venv.create(folder / "environment", with_pip=False)
    python = str(folder / "environment" / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    # Outside, for among what ROS has put on the paths pip would find the package installed already.
    run_outside([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], folder)
    return folder / "environment"


def _site(environment: Path) -> Path:
    return environment / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"


def _only(environment: Path) -> Distribution:
    (metadata,) = _site(environment).glob("vmem_ros-*.dist-info")
    return Distribution.at(metadata)


def _link(installed: Distribution, site: Path) -> None:
    """Show an installed distribution in another environment."""
    for top in {Path(file).parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
        if not (site / top).exists():
            os.symlink(str(installed.locate_file(top)), site / top)
