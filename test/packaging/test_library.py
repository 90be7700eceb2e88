"""The library without ROS: what ``pip install .`` gives, and who may import what."""

import ast
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path

import pytest

from repository import ROOT, files_below

# Lower floors first. A module imports from its own room and from lower floors; rooms of one floor never meet.
FLOORS = (
    {"errors", "process", "files"},
    {"extras"},
    {"geometry"},
    {"types"},
    {"protocols"},
    {"pretrained", "world_file", "messages"},
    {"memory", "pointmaps", "generation", "scenes"},
    {"world"},
    {"reporting"},
    {"evaluation"},
    {"showcase", "training", "benchmarking"},
    {"nodes", "cli"},
)
ROS = {"rclpy", "tf2_ros", "tf2_msgs", "ament_index_python", "cv_bridge", "launch", "launch_ros"}
ROS |= {f"{name}_msgs" for name in ("std", "sensor", "geometry", "nav", "diagnostic", "visualization", "lifecycle")}
ROS |= {"builtin_interfaces", "rcl_interfaces", "action_msgs", "std_srvs"}


def modules() -> list[Path]:
    return sorted(path for path in (ROOT / "vmem_ros").rglob("*.py"))


def imports(file: Path) -> set[str]:
    """Dotted names of all modules that ``file`` imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def room_of(name: str) -> str:
    """The room of a module ``vmem_ros.<room>...``; empty for anything else."""
    package, _, rest = name.partition(".")
    return rest.split(".")[0] if package == "vmem_ros" else ""


def floor_of(name: str) -> "int | None":
    """Floor of a module ``vmem_ros.<room>...``; None for anything else, generated messages included."""
    floors = [i for i, rooms in enumerate(FLOORS) if room_of(name) in rooms]
    return floors[0] if floors else None


def dotted(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def test_every_room_has_a_floor() -> None:
    assert [name for name in map(dotted, modules()) if name != "vmem_ros.__init__" and floor_of(name) is None] == []


def test_modules_import_only_from_their_room_and_lower_floors() -> None:
    wrong = [
        f"{dotted(file)} imports {name}"
        for file in modules()
        for name in imports(file)
        if (floor := floor_of(name)) is not None
        and room_of(name) != room_of(dotted(file))
        and floor >= (floor_of(dotted(file)) or 0)
    ]
    assert wrong == []


def test_only_nodes_import_ros() -> None:
    others = [file for file in modules() if not dotted(file).startswith("vmem_ros.nodes.")]
    assert [dotted(file) for file in others if {name.split(".")[0] for name in imports(file)} & ROS] == []


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the library installed by pip. It sees this one's torch and the like, but not its ROS."""
    folder = tmp_path_factory.mktemp("library")
    source, environment = folder / "source", folder / "environment"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).symlink_to(ROOT / name)
    venv.create(environment, with_pip=False)
    python = environment / "bin" / "python"
    site = environment / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    # Folders that a .pth file adds are searched, but their own .pth files are not run: the ROS loader stays off.
    (site / "outer.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install"]
    subprocess.run([*pip, "--quiet", "--no-deps", "--no-index", "--no-build-isolation", str(source)], check=True)
    return environment


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run outside the checkout, in a shell that has nothing of ROS."""
    hidden = ("PYTHONPATH", "LD_LIBRARY_PATH", "AMENT_PREFIX_PATH", "_ROS_WHEELS_BOOTSTRAP_COMPLETE")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_library_imports_without_ros(library: Path) -> None:
    probe = """
import importlib, importlib.metadata, pkgutil, sys
sys.modules["rclpy"] = None
import vmem_ros
assert vmem_ros.__file__.startswith(sys.prefix), vmem_ros.__file__
assert importlib.metadata.version("vmem_ros") == vmem_ros.__version__
for module in pkgutil.walk_packages(vmem_ros.__path__, "vmem_ros."):
    if not module.name.startswith("vmem_ros.nodes") and not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert not [name for name in sys.modules if name.startswith("vmem_ros.nodes")]
"""
    done = run([str(library / "bin" / "python"), "-c", probe], library)
    assert done.returncode == 0, done.stderr


def test_models_come_along(library: Path) -> None:
    """Into the environment, and into the archive that package indexes hold."""
    (installed,) = library.glob("lib/python*/site-packages/vmem_ros/models")
    assert files_below(installed) == files_below(ROOT / "vmem_ros" / "models")
    probe = "from vmem_ros.pretrained import shipped\nfor name in shipped.SHIPPED_MODELS:"
    probe += "\n    shipped.check_manifest(shipped.shipped_folder(name))"
    done = run([str(library / "bin" / "python"), "-c", probe], library)
    assert done.returncode == 0, done.stderr
    source = library.parent / "source"
    sdist = [sys.executable, "setup.py", "-q", "sdist", "--formats", "tar", "--dist-dir", str(library.parent)]
    subprocess.run(sdist, cwd=source, check=True, capture_output=True)
    (archive,) = library.parent.glob("*.tar")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {f"vmem_ros/models/{name}" for name in files_below(ROOT / "vmem_ros" / "models")} <= names


def test_command_starts_without_ros(library: Path) -> None:
    done = run([str(library / "bin" / "vmem"), "--help"], library)
    assert done.returncode == 0, done.stderr
    assert "explore" in done.stdout
