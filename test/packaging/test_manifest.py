"""The ROS package: manifest, versions, declared dependencies, what is installed where."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import vmem_ros
from repository import PACKAGE, ROOT, executables

# Keys of rosdep/python.yaml in the rosdistro repository, as far as this package uses them.
ROSDEP_KEYS = {
    *("python3-hypothesis", "python3-matplotlib", "python3-numpy", "python3-opencv", "python3-pil", "python3-pytest"),
    *(
        "python3-psutil",
        "python3-pytest-timeout",
        "python3-scipy",
        "python3-tqdm",
        "python3-transforms3d",
        "python3-yaml",
    ),
}
# Without a rosdep key, or with one that only pip serves: docs/install.md has the command.
# (python3-torch is on some systems only, not on Ubuntu 24.04, whose python3-pydantic is 1.10: recipes need 2.)
PIP_ONLY = {"torch", "safetensors", "rosbags", "diffusers", "transformers", "huggingface_hub", "peft", "accelerate"}
PIP_ONLY |= {"open3d", "pydantic", "gymnasium", "ray", "viser"}
INTERFACES = (".msg", ".srv", ".action")
# Needed by launch files and by generated code.
NOT_IMPORTED = {"ros2launch", "rosidl_default_runtime", "service_msgs"}
ROSDEP_OF_MODULE = {
    **{"cv2": "python3-opencv", "PIL": "python3-pil", "yaml": "python3-yaml"},
    **{
        name: f"python3-{name}"
        for name in ("hypothesis", "matplotlib", "numpy", "psutil", "pytest", "scipy", "tqdm", "transforms3d")
    },
}


def dependencies(*tags: str) -> set[str]:
    return {element.text for element in PACKAGE if element.tag in tags and element.text}


def imported_modules(folder: Path) -> set[str]:
    """Top-level names of everything imported below ``folder``."""
    names: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
    return names


def test_manifest_is_complete() -> None:
    assert PACKAGE.get("format") == "3"
    assert PACKAGE.findtext("license") == "Apache-2.0"
    assert (ROOT / PACKAGE.find("license").get("file")).is_file()
    # A maintainer address that is not well formed makes rosidl stop at configure time.
    assert re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", PACKAGE.find("maintainer").get("email"))
    assert PACKAGE.findtext("member_of_group") == "rosidl_interface_packages"
    assert PACKAGE.findtext("export/build_type") == "ament_cmake"


def test_version_is_the_same_everywhere() -> None:
    from_setup = subprocess.run(
        [sys.executable, "setup.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()[-1]
    assert PACKAGE.findtext("version") == from_setup == vmem_ros.__version__


def test_system_dependencies_have_rosdep_keys() -> None:
    declared = {name for name in dependencies("exec_depend", "test_depend", "depend") if name.startswith("python3-")}
    assert declared <= ROSDEP_KEYS


def test_every_import_is_declared() -> None:
    declared = dependencies("depend", "exec_depend")
    imported = imported_modules(ROOT / "vmem_ros") - set(sys.stdlib_module_names) - {"vmem_ros"} - PIP_ONLY
    missing = {name for name in imported if ROSDEP_OF_MODULE.get(name, name) not in declared}
    assert not missing, f"imported by vmem_ros but not in package.xml: {sorted(missing)}"


def test_every_declaration_is_used() -> None:
    imported = {ROSDEP_OF_MODULE.get(name, name) for name in imported_modules(ROOT / "vmem_ros")}
    interfaces = "\n".join(file.read_text(encoding="utf-8") for file in ROOT.glob("*/*.*") if file.suffix in INTERFACES)
    imported |= set(re.findall(r"^([a-z_0-9]+)/\w+", interfaces, re.MULTILINE))
    assert dependencies("depend", "exec_depend") - imported - NOT_IMPORTED == set()
    tests = {ROSDEP_OF_MODULE.get(name, name) for name in imported_modules(ROOT / "test")}
    tools = {"ament_cmake_pytest", "python3-pytest-timeout"}
    assert dependencies("test_depend") - tests - tools == set()


def test_interfaces_depend_on_declared_packages() -> None:
    used: set[str] = set()
    for file in [*ROOT.glob("msg/*"), *ROOT.glob("srv/*"), *ROOT.glob("action/*")]:
        used |= set(re.findall(r"^([a-z_0-9]+)/\w+", file.read_text(encoding="utf-8"), re.MULTILINE))
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert used
    for name in used:
        assert name in dependencies("depend")
        assert f"find_package({name} REQUIRED)" in cmake


@pytest.mark.parametrize(("name", "module"), executables())
def test_executable_has_a_module_with_main(name: str, module: str) -> None:
    path = ROOT / Path(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    names |= {
        alias.asname or alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert "main" in names, f"{name} calls main() of {module}"
