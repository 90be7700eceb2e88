"""Parameter file, Nav2 example and display configurations against the tables of parameters and topics."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from rclpy.qos import DurabilityPolicy

from launch_arguments import ARGUMENT
from repository import ROOT
from vmem_ros.nodes.interface.names import (
    NAMESPACE,
    NODE_NAME,
    PUBLISHED,
    SUBSCRIBED,
    CameraMode,
    message_type_name,
    qos_profile,
)
from vmem_ros.nodes.interface.parameters import PARAMETERS, check

CONFIG = ROOT / "config"
# Message type that each display takes; classes from rviz_default_plugins' plugins_description.xml.
RVIZ_DISPLAYS = {
    "rviz_default_plugins/Camera": "sensor_msgs/msg/Image",
    "rviz_default_plugins/Image": "sensor_msgs/msg/Image",
    "rviz_default_plugins/Path": "nav_msgs/msg/Path",
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/PoseArray": "geometry_msgs/msg/PoseArray",
}
RVIZ_WITHOUT_TOPIC = {"rviz_default_plugins/Grid", "rviz_default_plugins/TF"}
RVIZ_OTHERS = {
    *(f"rviz_common/{name}" for name in ("Displays", "Selection", "Time", "Tool Properties", "Views")),
    *(f"rviz_default_plugins/{name}" for name in ("FocusCamera", "Interact", "Measure", "MoveCamera", "Orbit")),
    *(f"rviz_default_plugins/{name}" for name in ("Select", "SetGoal", "TF")),
}
FOREIGN_TOPICS = {"/plan": "nav_msgs/msg/Path"}  # Nav2's


def absolute(name: str) -> str:
    """Full name of a topic of the node, for the default namespace."""
    if name.startswith("/"):
        return name
    return f"/{NAMESPACE}/{name.replace('~', NODE_NAME, 1)}"


TOPICS = {absolute(name): topic for name, topic in PUBLISHED.items()}


def flatten(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Parameter names with dots, as ROS flattens a parameter file."""
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def parameters_of(file: str) -> dict[str, Any]:
    content = yaml.safe_load((CONFIG / file).read_text(encoding="utf-8"))
    assert list(content) == [f"/**/{NODE_NAME}"]
    return dict(flatten(content[f"/**/{NODE_NAME}"]["ros__parameters"]))


@pytest.fixture(scope="module")
def camera_parameters() -> dict[str, Any]:
    return parameters_of("camera.yaml")


@pytest.mark.parametrize("file", ["camera.yaml", "demo.yaml", "nav2.yaml", "follow_robot.yaml"])
def test_parameters_are_known_and_legal(file: str) -> None:
    values = parameters_of(file)
    assert set(values) <= set(PARAMETERS)
    assert check({**{name: p.default for name, p in PARAMETERS.items()}, **values}) is None


def test_camera_parameters_show_the_defaults(camera_parameters: dict[str, Any]) -> None:
    assert camera_parameters == {name: PARAMETERS[name].default for name in camera_parameters}


def test_every_parameter_is_in_the_file_or_a_launch_argument(camera_parameters: dict[str, Any]) -> None:
    text = (CONFIG / "launch_arguments.yaml").read_text(encoding="utf-8")
    arguments = {found["parameter"] for found in ARGUMENT.finditer(text)} - {"use_sim_time"}
    assert arguments | set(camera_parameters) == set(PARAMETERS)


@pytest.mark.parametrize("file", ["nav2.yaml", "follow_robot.yaml"])
def test_what_a_launch_file_sets_is_not_set_back(camera_parameters: dict[str, Any], file: str) -> None:
    """The shipped file of defaults is read after it, where a user names no other."""
    assert set(parameters_of(file)).isdisjoint(camera_parameters)


@pytest.mark.ros
def test_rclpy_reads_the_camera_parameters(camera_parameters: dict[str, Any]) -> None:
    """The wildcard must match the node in any namespace, with the types that ROS infers."""
    import rclpy

    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        arguments = ["--ros-args", "--params-file", str(CONFIG / "camera.yaml")]
        node = rclpy.create_node(NODE_NAME, namespace="robot1/eyes", context=context, cli_args=arguments)
        for name, value in camera_parameters.items():
            read = node.declare_parameter(name, PARAMETERS[name].default).value
            assert (read, type(read)) == (value, type(value))
        node.destroy_node()
    finally:
        rclpy.shutdown(context=context)


def rviz() -> dict[str, Any]:
    return yaml.safe_load((CONFIG / "vmem.rviz").read_text(encoding="utf-8"))


def test_rviz_uses_known_classes() -> None:
    text = (CONFIG / "vmem.rviz").read_text(encoding="utf-8")
    assert set(re.findall(r"Class: (\S+/.+)", text)) <= {*RVIZ_DISPLAYS, *RVIZ_WITHOUT_TOPIC, *RVIZ_OTHERS}


@pytest.mark.parametrize("mode", ["polled", "streaming"])
@pytest.mark.parametrize("display", rviz()["Visualization Manager"]["Displays"], ids=lambda display: display["Name"])
def test_rviz_display_receives_its_topic(display: dict[str, Any], mode: CameraMode) -> None:
    if display["Class"] in RVIZ_WITHOUT_TOPIC:
        return
    topic = display["Topic"]
    wanted = RVIZ_DISPLAYS[display["Class"]]
    assert topic["Reliability Policy"] == "Reliable"
    if topic["Value"] in FOREIGN_TOPICS:
        assert FOREIGN_TOPICS[topic["Value"]] == wanted
        return
    row = TOPICS[topic["Value"]]
    assert message_type_name(row.type) == wanted
    # Transient-local displays get nothing from volatile publishers; volatile ones miss what was latched before.
    latched = qos_profile(row.qos, mode=mode).durability == DurabilityPolicy.TRANSIENT_LOCAL
    assert topic["Durability Policy"] == ("Transient Local" if latched else "Volatile")


def test_rviz_camera_has_its_intrinsics_beside_the_image() -> None:
    for display in rviz()["Visualization Manager"]["Displays"]:
        if display["Class"] == "rviz_default_plugins/Camera":
            assert display["Topic"]["Value"].rsplit("/", 1)[0] + "/camera_info" in TOPICS
            others = {other["Name"] for other in rviz()["Visualization Manager"]["Displays"]} - {display["Name"]}
            assert set(display["Visibility"]) - {"Value"} == others


def test_rviz_goal_drives_the_camera() -> None:
    (goal,) = (tool for tool in rviz()["Visualization Manager"]["Tools"] if tool["Class"].endswith("SetGoal"))
    assert goal["Topic"]["Value"] == absolute("pose")
    assert message_type_name(SUBSCRIBED["pose"].type) == "geometry_msgs/msg/PoseStamped"
    assert rviz()["Visualization Manager"]["Global Options"]["Fixed Frame"] == PARAMETERS["world_frame_id"].default


def foxglove() -> dict[str, Any]:
    return json.loads((CONFIG / "vmem.foxglove.json").read_text(encoding="utf-8"))


def panels_in(layout: "dict[str, Any] | str") -> list[str]:
    if isinstance(layout, str):
        return [layout]
    assert layout["direction"] in ("row", "column")
    return panels_in(layout["first"]) + panels_in(layout["second"])


def test_foxglove_layout_shows_every_panel_once() -> None:
    assert sorted(panels_in(foxglove()["layout"])) == sorted(foxglove()["configById"])


def test_foxglove_topics_exist() -> None:
    text = (CONFIG / "vmem.foxglove.json").read_text(encoding="utf-8")
    named = set(re.findall(rf'"(/{NAMESPACE}/[\w/]+)', text))
    assert named - {absolute("pose")} <= set(TOPICS)
    panels = foxglove()["configById"]
    assert panels["3D!world"]["publish"]["poseTopic"] == absolute("pose")
    for name, panel in panels.items():
        if name.startswith("Image!"):
            image, info = (TOPICS[panel["imageMode"][key]] for key in ("imageTopic", "calibrationTopic"))
            assert message_type_name(image.type) == "sensor_msgs/msg/Image"
            assert message_type_name(info.type) == "sensor_msgs/msg/CameraInfo"
            assert image.frame == info.frame


def test_nav2_example_reads_the_camera_points() -> None:
    content = yaml.safe_load((CONFIG / "nav2_costmap_example.yaml").read_text(encoding="utf-8"))
    parameters = content["local_costmap"]["local_costmap"]["ros__parameters"]
    source = parameters["vmem_layer"]["vmem"]
    assert "vmem_layer" in parameters["plugins"]
    assert source["data_type"] == "PointCloud2"
    assert message_type_name(TOPICS[source["topic"]].type) == "sensor_msgs/msg/PointCloud2"
