"""Recordings made without ROS have the topics, types and frames of the node."""

from pathlib import Path

import torch
from rosbags.highlevel import AnyReader

from clouds import random_elements
from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.nodes.interface.frame_names import FrameNames
from vmem_ros.nodes.interface.names import NAMESPACE, PUBLISHED, SUBSCRIBED, message_type_name
from vmem_ros.nodes.interface.parameters import PARAMETERS
from vmem_ros.reporting.sample import Sample
from vmem_ros.reporting.world_mcap import write_recording


def test_topics_types_and_frames_are_those_of_the_tables(tmp_path: Path) -> None:
    view = box_view(Camera.from_fov(32, 24, 75), orbit(1)[0])
    sample = Sample(view, torch.ones(24, 32), view)
    write_recording(tmp_path / "bag", [sample], random_elements(3), start_ns=1)
    names = FrameNames(PARAMETERS["world_frame_id"].default, NAMESPACE)
    table = PUBLISHED | {"pose": SUBSCRIBED["pose"]}
    with AnyReader([tmp_path / "bag"]) as reader:
        for connection, _, data in reader.messages():
            name = connection.topic.removeprefix(f"/{NAMESPACE}/")
            message = reader.deserialize(data, connection.msgtype)
            if name == "/tf":
                (transform,) = message.transforms
                assert (transform.header.frame_id, transform.child_frame_id) == (names.world, names.of("generated"))
                continue
            assert connection.msgtype == message_type_name(table[name].type)
            assert message.header.frame_id == names.of(table[name].frame or "world")
