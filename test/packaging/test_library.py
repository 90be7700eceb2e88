"""The library without ROS: who may import what, and what it says that it needs."""

import ast
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from outside import run_outside
from repository import ROOT
from vmem_ros.extras import EXTRAS

# Lower floors first. A module imports from its own room and from lower floors; rooms of one floor never meet.
FLOORS = (
    {"errors", "process", "files", "interrupts", "out_of_memory"},
    {"extras", "kernels"},
    {"geometry"},
    {"types"},
    {"edits"},
    {"protocols"},
    {"pretrained", "world_file", "messages", "tiles"},
    {"memory", "pointmaps", "generation", "scenes", "recordings"},
    {"pose_refinement", "world_editing", "world_step"},
    {"world_imagining"},
    {"world"},
    {"reporting"},
    {"evaluation"},
    {"showcase", "training", "benchmarking", "viewer", "planning"},
    {"fleet"},
    {"nodes", "cli"},
)
ROS = {"rclpy", "tf2_ros", "tf2_msgs", "ament_index_python", "cv_bridge", "launch", "launch_ros", "sensor_msgs_py"}
ROS |= {f"{name}_msgs" for name in ("std", "sensor", "geometry", "nav", "diagnostic", "visualization", "lifecycle")}
ROS |= {"builtin_interfaces", "rcl_interfaces", "action_msgs", "std_srvs"}
# What is used where it is installed, and does without elsewhere.
USES_CV_BRIDGE = "vmem_ros.messages.cv_bridge_package"

# What the package is compared with is no part of any installation that does not ask for it.
PEERS = "peers"
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
    found = {dotted(file): {name.split(".")[0] for name in imports(file)} & ROS for file in others}
    assert {name: packages for name, packages in found.items() if packages} == {USES_CV_BRIDGE: {"cv_bridge"}}


def requirements_of(library: Path) -> dict[str, set[str]]:
    """Names of the distributions that each extra needs, and under "" what every installation needs."""
    probe = "import importlib.metadata, json; print(json.dumps(importlib.metadata.requires('vmem_ros')))"
    done = run_outside([str(library / "bin" / "python"), "-c", probe], library)
    found: dict[str, set[str]] = {"": set()}
    for line in json.loads(done.stdout):
        name = re.match(r"[\w-]+", line)[0].lower()
        extra = re.search(r"extra == [\"'](\w+)", line)
        found.setdefault(extra[1] if extra else "", set()).add(name)
    return found


def distributions(imported: Iterable[str]) -> set[str]:
    return {DISTRIBUTIONS.get(name, name) for name in imported}


@pytest.mark.timeout(900)
def test_extras_are_those_that_errors_speak_of(library: Path) -> None:
    declared = requirements_of(library)
    assert {extra: distributions(names) for extra, names in EXTRAS.items() if names} == {
        extra: names for extra, names in declared.items() if extra not in ("", "all")
    }
    needed = (distributions(names) for extra, names in EXTRAS.items() if extra != PEERS)
    assert declared["all"] == set().union(*needed)


@pytest.mark.timeout(900)
def test_requirements_are_what_is_imported(library: Path) -> None:
    """Whatever is imported is declared, and the other way round; the pinned versions are of the same distributions."""
    imported = {name.split(".")[0] for file in modules() for name in imports(file)}
    foreign = imported - set(sys.stdlib_module_names) - ROS - {"vmem_ros", "rosgraph_msgs"}
    declared = set().union(*requirements_of(library).values())
    assert declared == distributions(foreign)
    pinned = (ROOT / "requirements" / "core.txt").read_text(encoding="utf-8")
    named = {name.lower() for name in re.findall(r"^([\w-]+)==", pinned, re.MULTILINE)}
    assert named == declared - distributions(EXTRAS[PEERS])
