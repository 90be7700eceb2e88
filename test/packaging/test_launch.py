"""Launch files: valid XML, declared arguments, executables that exist, parameters that the node has."""

import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from repository import ROOT, executables
from vmem_ros.nodes.interface.names import NAMESPACE, NODE_NAME, PUBLISHED, SUBSCRIBED
from vmem_ros.nodes.interface.parameters import PARAMETERS

LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.xml"))
# Attributes of the XML front ends of launch and launch_ros (Humble and later) that these files may use.
ATTRIBUTES = {
    "launch": set(),
    "group": {"scoped", "if", "unless"},
    "set_env": {"name", "value", "if", "unless"},
    "set_remap": {"from", "to", "if", "unless"},
    "include": {"file", "if", "unless"},
    "node": {"pkg", "exec", "name", "namespace", "output", "args", "ros_args", "if", "unless", "respawn", "on_exit"},
    "param": {"name", "value", "type", "from"},
    "remap": {"from", "to"},
    "arg": {"name", "default", "description", "value"},
}
SUBSTITUTION = re.compile(r"\$\(([a-z-]+) ")


def parse(file: Path) -> ElementTree.Element:
    return ElementTree.parse(file).getroot()


def declared(root: ElementTree.Element) -> dict[str, "str | None"]:
    """Arguments of a launch file with their defaults."""
    return {element.attrib["name"]: element.get("default") for element in root.findall("arg")}


def included(element: ElementTree.Element) -> Path:
    """File that an include of this package names."""
    prefix = "$(find-pkg-share vmem_ros)/"
    assert element.attrib["file"].startswith(prefix)
    return ROOT / element.attrib["file"].removeprefix(prefix)


@pytest.fixture(params=LAUNCH_FILES, ids=lambda file: file.name)
def launch_file(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_common_cases_are_there() -> None:
    names = {file.name.removesuffix(".launch.xml") for file in LAUNCH_FILES}
    assert names >= {"camera", "demo", "nav2_camera", "follow_robot"}


def test_tags_and_attributes_are_known(launch_file: Path) -> None:
    for element in parse(launch_file).iter():
        assert element.tag in ATTRIBUTES
        assert set(element.attrib) <= ATTRIBUTES[element.tag], f"<{element.tag}> has no such attribute"
        for value in element.attrib.values():
            assert set(SUBSTITUTION.findall(value)) <= {"var", "env", "eval", "find-pkg-share"}


def test_arguments_are_declared_described_and_used(launch_file: Path) -> None:
    root = parse(launch_file)
    values = [value for element in root.iter() for value in element.attrib.values()]
    used = {name for value in values for name in re.findall(r"\$\(var ([a-z_]+)\)", value)}
    assert used == set(declared(root))
    assert all(element.get("description") for element in root.findall("arg"))


def test_includes_exist_and_know_their_arguments(launch_file: Path) -> None:
    for element in parse(launch_file).iter("include"):
        known = declared(parse(included(element)))
        assert {argument.attrib["name"] for argument in element.findall("arg")} <= set(known)


def test_executables_exist(launch_file: Path) -> None:
    installed = {name for name, _ in executables()}
    for node in parse(launch_file).iter("node"):
        if node.attrib["pkg"] == "vmem_ros":
            assert node.attrib["exec"] in installed
        else:
            assert (node.attrib["pkg"], node.attrib["exec"]) == ("rviz2", "rviz2")


def test_shipped_files_that_are_named_exist(launch_file: Path) -> None:
    for element in parse(launch_file).iter():
        for value in element.attrib.values():
            for name in re.findall(r"\$\(find-pkg-share vmem_ros\)/([\w./]+)", value):
                assert (ROOT / name).is_file()


def test_parameters_of_the_camera_are_known_and_their_defaults_legal() -> None:
    root = parse(ROOT / "launch" / "camera.launch.xml")
    defaults = declared(root)
    (node,) = (node for node in root.iter("node") if node.attrib["pkg"] == "vmem_ros")
    assert node.attrib["name"] == NODE_NAME
    assert defaults["namespace"] == NAMESPACE
    convert = {"str": str, "bool": lambda text: {"true": True, "false": False}[text]}
    for param in node.findall("param"):
        if "from" in param.attrib or param.attrib["name"] == "use_sim_time":
            continue
        name, argument = param.attrib["name"], re.fullmatch(r"\$\(var (\w+)\)", param.attrib["value"])
        assert argument
        value = convert[param.attrib["type"]](defaults[argument[1]])
        assert PARAMETERS[name].complaint(value) is None
        assert value == PARAMETERS[name].default, "launched or run by hand, the node must behave the same"


@pytest.mark.ros
@pytest.mark.parametrize("namespace", ["/vmem", "/robot1/eyes"])
def test_log_level_reaches_the_camera_in_any_namespace(namespace: str) -> None:
    """In a process of its own, because levels are the process's."""
    (node,) = (n for n in parse(ROOT / "launch" / "camera.launch.xml").iter("node") if n.attrib["pkg"] == "vmem_ros")
    arguments = node.attrib["ros_args"].replace("$(var log_level)", "debug").split()
    arguments += ["-r", f"__ns:={namespace}", "-r", f"__node:={NODE_NAME}"]
    script = (
        "import sys, rclpy; rclpy.init(args=sys.argv); "
        "print(rclpy.create_node('any').get_logger().get_effective_level().name)"
    )
    command = [sys.executable, "-c", script, "--ros-args", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split()[-1] == "DEBUG"


def test_remapped_topics_exist(launch_file: Path) -> None:
    for element in [*parse(launch_file).iter("set_remap"), *parse(launch_file).iter("remap")]:
        assert element.attrib["from"] in {*SUBSCRIBED, *PUBLISHED}


@pytest.mark.skipif(importlib.util.find_spec("launch_xml") is None, reason="launch is not among the ROS 2 wheels")
def test_launch_itself_parses(launch_file: Path) -> None:
    from launch.launch_description_sources import AnyLaunchDescriptionSource

    description = AnyLaunchDescriptionSource(str(launch_file)).try_get_launch_description_without_context()
    assert {argument.name for argument in description.get_launch_arguments()} >= set(declared(parse(launch_file)))
