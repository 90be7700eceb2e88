"""Launch files: valid XML, declared arguments, executables that exist, parameters that the node has."""

import importlib.util
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from launch_arguments import ARGUMENT, launched
from repository import ROOT, executables
from vmem_ros.nodes.interface.names import NAMESPACE, NODE_NAME, PUBLISHED, SUBSCRIBED
from vmem_ros.nodes.interface.parameters import PARAMETERS
from waiting import WAIT_S

LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.xml"))
# Attributes of the XML front ends of launch and launch_ros (Humble and later) that these files may use.
ATTRIBUTES = {
    "launch": set(),
    "group": {"scoped", "if", "unless"},
    "set_env": {"name", "value", "if", "unless"},
    "set_remap": {"from", "to", "if", "unless"},
    "include": {"file", "if", "unless"},
    "node": {"pkg", "exec", "name", "namespace", "output", "args", "ros_args", "if", "unless", "respawn", "on_exit"},
    "param": {"name", "value", "type", "from", "allow_substs"},
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


def camera_node(root: ElementTree.Element) -> ElementTree.Element:
    """The element that starts the camera."""
    (node,) = (node for node in root.iter("node") if node.attrib["exec"] == "vmem_camera")
    return node


def files_with_substitutions(root: ElementTree.Element) -> list[Path]:
    """Parameter files of the package into which launch puts values."""
    named = [param.attrib["from"] for param in root.iter("param") if "allow_substs" in param.attrib]
    return [ROOT / name.removeprefix("$(find-pkg-share vmem_ros)/") for name in named]


@pytest.fixture(params=LAUNCH_FILES, ids=lambda file: file.name)
def launch_file(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_the_common_cases_are_there() -> None:
    names = {file.name.removesuffix(".launch.xml") for file in LAUNCH_FILES}
    assert names >= {"camera", "demo", "driver", "fastdds", "nav2_camera", "follow_robot", "two_cameras"}


def test_tags_and_attributes_are_known(launch_file: Path) -> None:
    for element in parse(launch_file).iter():
        assert element.tag in ATTRIBUTES
        assert set(element.attrib) <= ATTRIBUTES[element.tag], f"<{element.tag}> has no such attribute"
        for value in element.attrib.values():
            assert set(SUBSTITUTION.findall(value)) <= {"var", "env", "eval", "find-pkg-share"}


def test_arguments_are_declared_described_and_used(launch_file: Path) -> None:
    root = parse(launch_file)
    values = [value for element in root.iter() for value in element.attrib.values()]
    values += [passed.read_text() for passed in files_with_substitutions(root)]
    used = {name for value in values for name in re.findall(r"\$\(var ([a-z_]+)\)", value)}
    assert used == set(declared(root))
    assert all(element.get("description") for element in root.findall("arg"))


def test_includes_exist_and_know_their_arguments(launch_file: Path) -> None:
    for element in parse(launch_file).iter("include"):
        if element.attrib["file"] == "$(var file)":
            continue  # somebody else's
        known = declared(parse(included(element)))
        assert {argument.attrib["name"] for argument in element.findall("arg")} <= set(known)


def test_executables_exist(launch_file: Path) -> None:
    installed = {name for name, _ in executables()}
    for node in parse(launch_file).iter("node"):
        assert node.attrib["pkg"] == "vmem_ros", "a package that is not installed aborts the launch"
        assert node.attrib["exec"] in installed


def test_shipped_files_that_are_named_exist(launch_file: Path) -> None:
    for element in parse(launch_file).iter():
        for value in element.attrib.values():
            for name in re.findall(r"\$\(find-pkg-share vmem_ros\)/([\w./]+)", value):
                assert (ROOT / name).is_file()


def test_arguments_of_the_camera_are_parameters_and_change_nothing_unless_given() -> None:
    root = parse(ROOT / "launch" / "camera.launch.xml")
    defaults = declared(root)
    assert camera_node(root).attrib["name"] == NODE_NAME
    assert defaults["namespace"] == NAMESPACE
    (file,) = files_with_substitutions(root)
    arguments = {found["argument"]: found["parameter"] for found in ARGUMENT.finditer(file.read_text())}
    assert set(arguments.values()) <= {*PARAMETERS, "use_sim_time"}
    assert {defaults[name] for name in arguments} == {""}
    own = {"namespace", "params_file", "preset_file", "fastdds_profile", "rviz", "log_level"}
    assert set(arguments) == set(defaults) - own


def test_a_file_that_includes_the_camera_leaves_its_parameters_alone(launch_file: Path) -> None:
    """What a launch file wants otherwise stands in a parameter file, over which the user's own wins."""
    (file,) = files_with_substitutions(parse(ROOT / "launch" / "camera.launch.xml"))
    arguments = {found["argument"] for found in ARGUMENT.finditer(file.read_text())}
    root = parse(launch_file)
    for include in root.iter("include"):
        for argument in include.findall("arg"):
            if argument.attrib["name"] in arguments:
                passed = re.fullmatch(r"\$\(var (\w+)\)", argument.attrib["value"])
                assert passed
                simulated = launch_file.name == "follow_robot.launch.xml" and passed[1] == "use_sim_time"
                assert declared(root)[passed[1]] == ("true" if simulated else "")


@pytest.mark.ros
@pytest.mark.parametrize("name", [f"/{NAMESPACE}/{NODE_NAME}", f"/**/{NODE_NAME}", "/**"])
def test_a_parameter_file_wins_unless_an_argument_is_given(name: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        f"{name}:\n  ros__parameters:\n    frame_prefix: robot\n    pose_height_m: 1.2\n"
        "    memory: {max_views: 77}\n    use_sim_time: true\n    camera.mode: disabled\n"
    )
    preset = ROOT / "config" / "nav2.yaml"
    assert launched([preset], {}, tmp_path) == {
        "pose_height_m": 0.5,
        "memory.max_views": 500,
        "camera.mode": "streaming",
        "use_sim_time": False,
    }
    assert launched([preset, mine], {}, tmp_path) == {
        "frame_prefix": "robot",
        "pose_height_m": 1.2,
        "memory.max_views": 77,
        "use_sim_time": True,
        "camera.mode": "disabled",
    }
    given = {"frame_prefix": "front", "pose_height_m": "0.3", "use_sim_time": "false", "mode": "polled"}
    assert launched([preset, mine], given, tmp_path) == {
        "frame_prefix": "front",
        "pose_height_m": 0.3,
        "memory.max_views": 77,
        "use_sim_time": False,
        "camera.mode": "polled",
    }


def test_plans_of_nav2_are_seen_from_above_the_floor_into_a_bounded_memory() -> None:
    root = parse(ROOT / "launch" / "nav2_camera.launch.xml")
    (include,) = root.iter("include")
    passed = {argument.attrib["name"]: argument.attrib["value"] for argument in include.findall("arg")}
    assert passed["preset_file"].endswith("/config/nav2.yaml")
    for name in ("params_file", "pose_height_m", "max_views"):
        assert passed[name] == f"$(var {name})"


def test_two_cameras_differ_in_their_namespaces() -> None:
    root = parse(ROOT / "launch" / "two_cameras.launch.xml")
    arguments = [arg for include in root.iter("include") for arg in include.findall("arg")]
    namespaces = [arg.attrib["value"] for arg in arguments if arg.attrib["name"] == "namespace"]
    assert namespaces == ["$(var first)", "$(var second)"]
    assert declared(root)["first"] != declared(root)["second"]


@pytest.mark.ros
@pytest.mark.parametrize("namespace", ["/vmem", "/robot1/eyes"])
def test_log_level_reaches_the_camera_in_any_namespace(namespace: str) -> None:
    """In a process of its own, because levels are the process's."""
    node = camera_node(parse(ROOT / "launch" / "camera.launch.xml"))
    arguments = node.attrib["ros_args"].replace("$(var log_level)", "debug").split()
    arguments += ["-r", f"__ns:={namespace}", "-r", f"__node:={NODE_NAME}"]
    script = (
        "import sys, rclpy; rclpy.init(args=sys.argv); "
        "print(rclpy.create_node('any').get_logger().get_effective_level().name)"
    )
    command = [sys.executable, "-c", script, "--ros-args", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=2 * WAIT_S, check=True)
    assert result.stdout.split()[-1] == "DEBUG"


def test_remapped_topics_exist(launch_file: Path) -> None:
    for element in [*parse(launch_file).iter("set_remap"), *parse(launch_file).iter("remap")]:
        assert element.attrib["from"] in {*SUBSCRIBED, *PUBLISHED}


@pytest.mark.skipif(importlib.util.find_spec("launch_xml") is None, reason="launch is not among the ROS 2 wheels")
def test_launch_itself_parses(launch_file: Path) -> None:
    from launch.launch_description_sources import AnyLaunchDescriptionSource

    description = AnyLaunchDescriptionSource(str(launch_file)).try_get_launch_description_without_context()
    assert {argument.name for argument in description.get_launch_arguments()} >= set(declared(parse(launch_file)))
