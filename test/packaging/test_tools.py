"""The set-up scripts, on machines that lack something."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from repository import ROOT

TOOLS = ROOT / "tools"
sys.path.append(str(TOOLS))
fix_wheel_paths = importlib.import_module("fix_wheel_paths")


def call(*command: "str | Path", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run with nothing in the environment but a home, the usual commands, and ``environment``."""
    base = {"HOME": os.environ.get("HOME", "/"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [str(part) for part in command], env={**base, **environment}, capture_output=True, text=True, check=False
    )


class TestDistribution:
    def test_default_is_jazzy(self) -> None:
        done = call(TOOLS / "distro.sh")
        assert (done.stdout, done.stderr) == ("jazzy\n", "")

    @pytest.mark.parametrize("distro", ["jazzy", "kilted"])
    def test_from_the_environment(self, distro: str) -> None:
        assert call(TOOLS / "distro.sh", ROS_DISTRO=distro).stdout == f"{distro}\n"

    def test_a_sourced_installation_is_left_alone_and_mentioned(self) -> None:
        done = call(TOOLS / "distro.sh", ROS_DISTRO="lyrical")
        assert done.stdout == "jazzy\n"
        assert "lyrical" in done.stderr

    def test_an_order_wins_over_the_environment(self) -> None:
        assert call(TOOLS / "distro.sh", "kilted", ROS_DISTRO="jazzy").stdout == "kilted\n"

    def test_an_impossible_order_is_refused(self) -> None:
        done = call(TOOLS / "distro.sh", "humble")
        assert done.returncode == 2
        for word in ("humble", "jazzy", "kilted", "docs/install.md"):
            assert word in done.stderr

    def test_make_refuses_it_too(self) -> None:
        done = call("make", "-C", ROOT, "help", "ROS_DISTRO=humble")
        assert done.returncode != 0
        assert "humble" in done.stderr


class TestFindPython:
    @staticmethod
    def fake(folder: Path, name: str, version: str, *, fails: bool = False) -> None:
        file = folder / name
        file.write_text(f"#!/bin/sh\n{'exit 127' if fails else f'echo {version} {file}'}\n", encoding="utf-8")
        file.chmod(0o755)

    @pytest.fixture
    def commands(self, tmp_path: Path) -> Path:
        """A folder to stand alone on the PATH: bash and nothing else."""
        (tmp_path / "bash").symlink_to("/bin/bash")
        (tmp_path / "env").symlink_to("/usr/bin/env")
        return tmp_path

    def test_takes_the_first_that_suits(self, commands: Path) -> None:
        self.fake(commands, "python3", "3.13")
        self.fake(commands, "python3.12", "3.12", fails=True)
        self.fake(commands, "python3.11", "3.11")
        assert call(TOOLS / "find_python.sh", PATH=str(commands)).stdout == f"{commands / 'python3.11'}\n"

    def test_only_the_one_that_was_named(self, commands: Path) -> None:
        self.fake(commands, "python3", "3.11")
        self.fake(commands, "own python", "3.9")
        done = call(TOOLS / "find_python.sh", commands / "own python", PATH=str(commands))
        assert done.returncode == 1
        assert "3.9" in done.stderr
        assert "apt-get install" in done.stderr

    def test_an_environment_counts_as_its_base(self) -> None:
        done = call(TOOLS / "find_python.sh", sys.executable)
        assert not Path(done.stdout.strip()).is_relative_to(sys.prefix)


class TestMachine:
    """Each check runs in a Python of its own, so that it sees a machine without the tools."""

    @staticmethod
    def check(commands: "Path | str", *, prelude: str = "", root: str = "/home/me/vmem_ros") -> str:
        """What the check complains about, with ``commands`` as the PATH; empty if all is well."""
        code = f"""
import sys
sys.path.insert(0, {str(TOOLS)!r})
{prelude}
from machine import MachineError, check
from pathlib import Path
try:
    check(Path({root!r}), building=True)
except MachineError as error:
    print(error)
"""
        done = call(sys.executable, "-S", "-c", code, PATH=str(commands))
        assert done.returncode == 0, done.stderr
        return done.stdout

    def test_names_everything_that_is_missing_in_one_command(self, tmp_path: Path) -> None:
        nothing = """
import importlib.util, sysconfig
sysconfig.get_path = lambda name: "/nowhere"
importlib.util.find_spec = lambda name: None if name == "ensurepip" else object()
"""
        complaint = self.check(tmp_path, prelude=nothing)
        version = "{}.{}".format(*sys.version_info)
        assert f"sudo apt-get install python{version}-venv gcc g++ make cmake python{version}-dev" in complaint
        assert "/nowhere/Python.h" in complaint

    def test_names_an_old_cmake_with_its_version(self, tmp_path: Path) -> None:
        for name in ("cc", "c++", "make"):
            (tmp_path / name).symlink_to("/bin/true")
        (tmp_path / "cmake").write_text("#!/bin/sh\necho cmake version 3.16.3\n", encoding="utf-8")
        (tmp_path / "cmake").chmod(0o755)
        assert "cmake 3.20 or newer (found 3.16)" in self.check(tmp_path)

    def test_sends_other_platforms_to_a_workspace(self, tmp_path: Path) -> None:
        complaint = self.check(tmp_path, prelude="import platform; platform.machine = lambda: 'aarch64'")
        assert "aarch64" in complaint
        assert "docs/install.md" in complaint

    def test_refuses_a_path_with_a_space(self, tmp_path: Path) -> None:
        assert "'/home/me/my robots/vmem_ros'" in self.check(tmp_path, root="/home/me/my robots/vmem_ros")

    def test_passes_this_machine(self) -> None:
        assert self.check(os.environ["PATH"]) == ""


class TestEnvironment:
    def test_a_sourced_installation_is_taken_off_the_paths(self, tmp_path: Path) -> None:
        polluted = {
            "AMENT_PREFIX_PATH": "/opt/ros/humble:/ws/install/other",
            "CMAKE_PREFIX_PATH": "/ws/install/other:/usr/local",
            "PYTHONPATH": "/opt/ros/humble/lib/python3.10/site-packages:/own/python",
            "LD_LIBRARY_PATH": "/opt/ros/humble/lib",
            "PATH": "/opt/ros/humble/bin:/ws/install/other/bin:/usr/bin:/bin",
            "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
            "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1",
        }
        done = call("bash", "-euc", f'. "{TOOLS}/venv_env.sh" "{tmp_path}" && env', **polluted)
        assert done.returncode == 0, done.stderr
        values = dict(line.split("=", 1) for line in done.stdout.splitlines())
        assert values["PATH"] == f"{tmp_path}/bin:/usr/bin:/bin"
        assert values["PYTHONPATH"] == "/own/python"
        assert values["CMAKE_PREFIX_PATH"] == f"{tmp_path}:/usr/local"
        assert values["AMENT_PREFIX_PATH"] == values["VIRTUAL_ENV"] == str(tmp_path)
        assert values["RMW_IMPLEMENTATION"] == "rmw_fastrtps_cpp"
        assert "LD_LIBRARY_PATH" not in values
        assert "_ROS_WHEELS_BOOTSTRAP_COMPLETE" not in values

    def test_unbuilt_says_what_to_do(self, tmp_path: Path) -> None:
        shutil.copytree(TOOLS, tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        done = call("bash", "-c", f'. "{tmp_path}/tools/env.sh" kilted')
        assert done.returncode == 1
        assert "make setup ROS_DISTRO=kilted" in done.stderr

    @pytest.mark.parametrize("before", ["", ":", "/own", "/own:", ":/own", "/own::/other"])
    def test_no_list_names_the_current_folder(self, tmp_path: Path, before: str) -> None:
        """colcon's scripts end a list that was empty with a colon, and an empty element is the current folder."""
        names = ("LD_LIBRARY_PATH", "PYTHONPATH", "CMAKE_PREFIX_PATH", "PKG_CONFIG_PATH")
        shutil.copytree(TOOLS, tmp_path / "tools", ignore=shutil.ignore_patterns("__pycache__"))
        (tmp_path / "install").mkdir()
        as_colcon_does = "".join(f'export {name}="/ws/{name}:${{{name}-}}"\n' for name in names)
        (tmp_path / "install" / "setup.bash").write_text(as_colcon_does, encoding="utf-8")
        given = dict.fromkeys(names, before) if before else {}
        done = call("bash", "-euc", f'. "{tmp_path}/tools/env.sh" jazzy && env', **given)
        assert done.returncode == 0, done.stderr
        values = dict(line.split("=", 1) for line in done.stdout.splitlines())
        own = [folder for folder in before.split(":") if folder]
        for name in names:
            folders = values[name].split(":")
            assert folders[0] == f"/ws/{name}"
            assert [folder for folder in folders if folder in ("", *own)] == own


def test_wheel_paths_are_mended_once(tmp_path: Path) -> None:
    file = tmp_path / "share" / "some_msgs" / "cmake" / "export.cmake"
    file.parent.mkdir(parents=True)
    stale = "/opt/python/cp311-cp311/include/python3.11"
    file.write_text(f'INCLUDES "/x;{stale};/opt/python/cp312-cp312/lib/python3.12/site-packages/numpy/_core/include"\n')
    assert fix_wheel_paths.fix(tmp_path) == 1
    named = file.read_text().split('"')[1].split(";")
    assert all(Path(folder).is_dir() for folder in named[1:])
    assert named[0] == "/x"
    assert fix_wheel_paths.fix(tmp_path) == 0
