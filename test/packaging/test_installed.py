"""The built package as ROS tools find it: index marker, shares, executables, messages, the tf2_msgs overlay."""

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import rclpy.serialization
from ament_index_python import get_package_prefix, get_package_share_directory, get_resources
from rosbags.typesys import Stores, get_typestore
from vmem_ros.msg import Status

import vmem_ros
from repository import PACKAGE, ROOT, executables, files_below

PREFIX = Path(get_package_prefix("vmem_ros"))
SHARE = Path(get_package_share_directory("vmem_ros"))


def test_package_is_in_the_index() -> None:
    assert "vmem_ros" in get_resources("packages")
    assert "vmem_ros" in get_resources("rosidl_interfaces")
    assert (SHARE / "package.xml").read_bytes() == (ROOT / "package.xml").read_bytes()
    assert importlib.metadata.version("vmem_ros") == PACKAGE.findtext("version")


@pytest.mark.parametrize("folder", ["launch", "config"])
def test_share_holds_every_file(folder: str) -> None:
    source = {file.name for file in (ROOT / folder).iterdir()}
    assert source == {file.name for file in (SHARE / folder).iterdir()}


def test_models_are_installed() -> None:
    (package,) = (Path(path) for path in vmem_ros.__path__ if PREFIX in Path(path).parents)
    assert files_below(package / "models") == files_below(ROOT / "vmem_ros" / "models")


@pytest.mark.parametrize("name", [name for name, _ in executables()])
def test_executable_is_installed_and_starts_python(name: str) -> None:
    file = PREFIX / ("bin" if name == "vmem" else "lib/vmem_ros") / name
    assert os.access(file, os.X_OK)
    shebang = file.read_text(encoding="utf-8").splitlines()[0].removeprefix("#!").split()
    version = subprocess.run([*shebang, "--version"], capture_output=True, text=True, check=True).stdout
    assert version.split()[1] == "{}.{}.{}".format(*sys.version_info)


def test_every_interface_is_built() -> None:
    source = {
        str(file.relative_to(ROOT)) for kind in ("msg", "srv", "action") for file in ROOT.glob(f"{kind}/*.{kind}")
    }
    assert source == {
        str(file.relative_to(SHARE)) for kind in ("msg", "srv", "action") for file in SHARE.glob(f"{kind}/*.{kind}")
    }


def test_message_survives_the_wire_format() -> None:
    status = Status(state=Status.STATE_GENERATING, engine="reprojection", fallbacks=["none"], view=2, views=5)
    data = rclpy.serialization.serialize_message(status)
    assert rclpy.serialization.deserialize_message(data, Status) == status


def test_overlay_speaks_with_the_real_tf2() -> None:
    """The type hash decides whether two builds of a message may talk to each other."""
    description = Path(get_package_share_directory("tf2_msgs"), "msg", "TFMessage.json")
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(description.read_text())["type_hashes"]}
    store = get_typestore(Stores.ROS2_JAZZY)
    assert hashes["tf2_msgs/msg/TFMessage"] == store.hash_rihs01("tf2_msgs/msg/TFMessage")
