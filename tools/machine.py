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


def check_for_installation() -> None:
    """What the virtual environment needs: a platform with ROS 2 wheels, and Python's venv module with pip.

    Raises:
        MachineError: names what is missing and the command that installs it.
    """
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise MachineError(
            f"the ROS 2 wheels exist for Linux x86_64 only, this is {system} {machine}.\n"
            "  Build in a ROS 2 workspace instead: docs/install.md"
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise MachineError(_report({f"Python {_version()}'s venv module": f"python{_version()}-venv"}))


def check_for_build() -> None:
    """What the interfaces need to be compiled: a C and a C++ compiler, cmake, make and Python's headers.

    Raises:
        MachineError: names everything that is missing and the one command that installs it all.
    """
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
    if missing:
        raise MachineError(_report(missing))


def _report(missing: dict[str, str]) -> str:
    """``missing`` maps what is missing to the Debian/Ubuntu package that has it."""
    return f"missing on this machine: {', '.join(missing)}.\n  sudo apt-get install {' '.join(missing.values())}"


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
