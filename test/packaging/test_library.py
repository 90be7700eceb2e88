"""The library without ROS: what ``pip install .`` gives, and who may import what."""

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Iterable
from pathlib import Path

import pytest

from repository import ROOT, files_below
from vmem_ros.extras import EXTRAS

# Lower floors first. A module imports from its own room and from lower floors; rooms of one floor never meet.
FLOORS = (
    {"errors", "process", "files"},
    {"extras", "geometry"},
    {"types"},
    {"protocols"},
    {"pretrained", "world_file", "messages"},
    {"memory", "pointmaps", "generation", "scenes", "recordings"},
    {"world"},
    {"reporting"},
    {"evaluation"},
    {"showcase", "training", "benchmarking"},
    {"nodes", "cli"},
)
ROS = {"rclpy", "tf2_ros", "tf2_msgs", "ament_index_python", "cv_bridge", "launch", "launch_ros"}
ROS |= {f"{name}_msgs" for name in ("std", "sensor", "geometry", "nav", "diagnostic", "visualization", "lifecycle")}
ROS |= {"builtin_interfaces", "rcl_interfaces", "action_msgs", "std_srvs"}

# Rooms for which some extra is needed; all others get along with what `pip install .` brings.
ROOMS_WITH_EXTRAS = ("recordings", "reporting", "evaluation", "showcase", "training", "benchmarking", "nodes")
# Distributions that are called otherwise than what is imported of them.
DISTRIBUTIONS = {
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "huggingface_hub": "huggingface-hub",
    "yaml": "pyyaml",
}


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


@pytest.mark.slow
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


def requirements_of(library: Path) -> dict[str, set[str]]:
    """Names of the distributions that each extra needs, and under "" what every installation needs."""
    probe = "import importlib.metadata, json; print(json.dumps(importlib.metadata.requires('vmem_ros')))"
    done = run([str(library / "bin" / "python"), "-c", probe], library)
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = {"": set()}
    for line in json.loads(done.stdout):
        name = re.match(r"[\w-]+", line)[0].lower()
        extra = re.search(r"extra == [\"'](\w+)", line)
        found.setdefault(extra[1] if extra else "", set()).add(name)
    return found


def distributions(imported: Iterable[str]) -> set[str]:
    return {DISTRIBUTIONS.get(name, name) for name in imported}


def test_extras_are_those_that_errors_speak_of(library: Path) -> None:
    declared = requirements_of(library)
    assert {extra: distributions(names) for extra, names in EXTRAS.items() if names} == {
        extra: names for extra, names in declared.items() if extra not in ("", "all")
    }
    assert declared["all"] == set().union(*(distributions(names) for names in EXTRAS.values()))


def test_requirements_are_what_is_imported(library: Path) -> None:
    """Whatever is imported is declared, and the other way round; the pinned versions are of the same distributions."""
    imported = {name.split(".")[0] for file in modules() for name in imports(file)}
    foreign = imported - set(sys.stdlib_module_names) - ROS - {"vmem_ros", "rosgraph_msgs"}
    declared = set().union(*requirements_of(library).values())
    assert declared == distributions(foreign)
    pinned = (ROOT / "requirements" / "core.txt").read_text(encoding="utf-8")
    assert declared == {name.lower() for name in re.findall(r"^([\w-]+)==", pinned, re.MULTILINE)}


@pytest.mark.slow
def test_a_plain_installation_draws(library: Path) -> None:
    """Without the packages of any extra all other rooms import, both engines draw, and what is missing is named."""
    probe = """
import importlib, pkgutil, sys
import vmem_ros
from vmem_ros.errors import MissingPackageError
from vmem_ros.extras import EXTRAS
for name in {name for names in EXTRAS.values() for name in names}:
    sys.modules[name] = None
for module in pkgutil.walk_packages(vmem_ros.__path__, "vmem_ros."):
    room = module.name.split(".")[1]
    if room not in sys.argv[1].split() + ["cli"] and not module.name.endswith("__main__"):
        importlib.import_module(module.name)

from vmem_ros.generation.engines import load_generator
from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import load_estimator
from vmem_ros.scenes import House
from vmem_ros.types import Target
from vmem_ros.world import World

house, camera = House(1000001), Camera.from_fov(64, 48, 70)
targets = [Target(camera, pose) for pose in house.loop(40)[:2]]
for engine in ("reprojection", "vmem"):
    generator = load_generator(engine)
    world = World(load_memory(), generator, load_estimator("small"))
    world.observe(house.view(targets[0]))
    (frame,) = world.explore(targets[1:], seed=0)
    assert frame.view.image.float().std() > 5
try:
    generator.pipeline.load_lora_weights("nowhere")
except MissingPackageError as error:
    assert "needs peft, which is not installed: pip install peft" in str(error), error
else:
    raise AssertionError("an adapter without peft")

from vmem_ros.cli import main
for verb, package, extra in (
    ("train generator recipe.yaml --out out", "pydantic", "training"),
    ("explore --house 1000001", "rosbags", "showcase"),
    ("evaluate", "matplotlib", "evaluation"),
):
    assert main(verb.split()) == 1
    print(package, extra)
main(["explore", "--help"])
"""
    python = str(library / "bin" / "python")
    done = run([python, "-c", probe, " ".join(ROOMS_WITH_EXTRAS)], library)
    assert done.returncode == 0, done.stderr
    assert "--trajectory" in done.stdout, "the last command shows its help"
    expected = [line.split() for line in done.stdout.splitlines()[:3]]
    errors = [line for line in done.stderr.splitlines() if "MissingPackageError" in line]
    for (package, extra), line in zip(expected, errors, strict=True):
        assert f"needs {package}, which is not installed: pip install {package}" in line
        assert f"vmem_ros[{extra}]" in line


@pytest.mark.slow
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


@pytest.mark.slow
def test_command_starts_without_ros(library: Path) -> None:
    done = run([str(library / "bin" / "vmem"), "--help"], library)
    assert done.returncode == 0, done.stderr
    assert "explore" in done.stdout
