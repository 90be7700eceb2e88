"""What the machine itself must have before anything can be installed or built."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

CMAKE_MINIMUM = (3, 20)


class MachineError(Exception):
    """Something is missing that only the machine's owner can install; the message says how."""


def check(root: Path, *, building: bool) -> None:
    """Check for all that the environment and, with ``building``, the interfaces need.

    Args:
        root: the checkout.
        building: interfaces will be compiled: compilers, cmake, make and Python's headers are needed too.

    Raises:
        MachineError: names everything that is missing and the one command that installs it all.
    """
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise MachineError(
            f"the ROS 2 wheels exist for Linux x86_64 only, this is {system} {machine}.\n"
            "  Build in a ROS 2 workspace instead: docs/install.md"
        )
    if any(letter.isspace() for letter in str(root)):
        raise MachineError(f"colcon's scripts do not work below a folder with a space in its name: move {str(root)!r}")
    missing = {**_missing_for_environment(), **(_missing_for_build() if building else {})}
    if missing:
        command = f"sudo apt-get install {' '.join(missing.values())}"
        raise MachineError(f"missing on this machine: {', '.join(missing)}.\n  {command}")


def _missing_for_environment() -> "dict[str, str]":
    """What is missing, with the Debian/Ubuntu package that has it."""
    modules = ("venv", "ensurepip")
    if all(importlib.util.find_spec(module) is not None for module in modules):
        return {}
    return {f"Python {_version()}'s venv module": f"python{_version()}-venv"}


def _missing_for_build() -> "dict[str, str]":
    """What is missing, with the Debian/Ubuntu package that has it."""
    missing: dict[str, str] = {}
    if shutil.which(os.environ.get("CC", "cc").split()[0]) is None:
        missing["a C compiler (cc)"] = "gcc"
    if shutil.which(os.environ.get("CXX", "c++").split()[0]) is None:
        missing["a C++ compiler (c++)"] = "g++"
    if shutil.which("make") is None:
        missing["make"] = "make"
    cmake = _cmake_version()
    if cmake is None:
        missing["cmake"] = "cmake"
    elif cmake < CMAKE_MINIMUM:
        missing[f"cmake {_dotted(CMAKE_MINIMUM)} or newer (found {_dotted(cmake)})"] = "cmake"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        missing[f"Python {_version()}'s headers ({header})"] = f"python{_version()}-dev"
    return missing


def _cmake_version() -> "tuple[int, int] | None":
    if shutil.which("cmake") is None:
        return None
    answer = subprocess.run(["cmake", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+)\.(\d+)", answer)
    return (int(found[1]), int(found[2])) if found else None


def _version() -> str:
    return _dotted(sys.version_info[:2])


def _dotted(version: "tuple[int, ...]") -> str:
    return ".".join(map(str, version))
