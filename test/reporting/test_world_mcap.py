"""Recordings of a world without ROS, read back as ``ros2 bag play`` would."""

from pathlib import Path

import numpy as np
import pytest
import torch
from rosbags.highlevel import AnyReader

from clouds import random_elements
from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.clouds import elements_from_message
from vmem_ros.messages.images import image_from_message, map_from_message
from vmem_ros.messages.transforms import camera_from_link, pose_from_message, transform_from_message
from vmem_ros.recordings import open_recording
from vmem_ros.reporting.sample import Sample
from vmem_ros.reporting.world_mcap import TOPICS, write_recording
from vmem_ros.types import Elements

CAMERA = Camera.from_fov(96, 64, 75)
START_NS = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    views = [box_view(CAMERA, T) for T in orbit(3)]
    return [Sample(view, torch.linspace(0, 1, 96).expand(64, 96), view) for view in views]


def messages_of(folder: Path, samples: list[Sample], elements: Elements) -> dict[str, list]:
    """Write a recording, and return its messages by topic, each with the time at which it was recorded."""
    write_recording(folder, samples, elements, start_ns=START_NS)
    out: dict[str, list] = {}
    with AnyReader([folder]) as reader:
        for connection, stamp_ns, data in reader.messages():
            out.setdefault(connection.topic, []).append((stamp_ns, reader.deserialize(data, connection.msgtype)))
    return out


@pytest.fixture(scope="module")
def messages(samples, tmp_path_factory) -> dict[str, list]:
    return messages_of(tmp_path_factory.mktemp("recording") / "bag", samples, random_elements(20))


def test_every_topic_is_there(messages):
    assert set(messages) == {topic if topic.startswith("/") else f"/vmem/{topic}" for topic in TOPICS}


def test_views_come_one_after_the_other(messages, samples):
    stamps = [stamp_ns for stamp_ns, _ in messages["/vmem/camera/image_raw"]]
    assert stamps == [START_NS + i * 200_000_000 for i in range(len(samples))]


def test_a_view_is_what_it_was(messages, samples):
    view, confidence = samples[1].view, samples[1].confidence
    _, image = messages["/vmem/camera/image_raw"][1]
    _, depth = messages["/vmem/camera/depth/image_rect"][1]
    _, info = messages["/vmem/camera/camera_info"][1]
    assert np.array_equal(image_from_message(image), view.image)
    assert np.array_equal(map_from_message(depth), view.depth, equal_nan=True)
    assert np.array_equal(map_from_message(messages["/vmem/camera/confidence"][1][1]), confidence)
    assert camera_from_message(info) == CAMERA
    assert info.header == image.header == depth.header


def test_poses_and_transforms_say_where_it_was_taken(messages, samples):
    _, transforms = messages["/tf"][2]
    (stamped,) = transforms.transforms
    _, image = messages["/vmem/camera/image_raw"][2]
    assert (stamped.header.frame_id, stamped.child_frame_id) == ("map", image.header.frame_id)
    assert stamped.header.stamp == image.header.stamp
    found = [
        transform_from_message(stamped.transform),
        camera_from_link(pose_from_message(messages["/vmem/pose"][2][1].pose)),
        camera_from_link(pose_from_message(messages["/vmem/memory/path"][0][1].poses[2].pose)),
    ]
    for T in found:
        torch.testing.assert_close(T, samples[2].view.T_world_camera, rtol=0, atol=1e-9)


def test_the_cloud_comes_back(messages):
    (entry,) = messages["/vmem/memory/surfels"]
    assert entry[1].header.frame_id == "map"
    found, expected = elements_from_message(entry[1]), random_elements(20)
    for name in ("position", "color", "normal", "radius"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_elements_need_no_normals(samples, tmp_path):
    elements = random_elements(5, normal=False, radius=False)
    messages = messages_of(tmp_path / "bag", samples, elements)
    ((_, cloud),) = messages["/vmem/memory/surfels"]
    assert elements_from_message(cloud).normal is None


def test_it_is_a_recording_like_those_of_real_cameras(samples, tmp_path):
    write_recording(tmp_path / "bag", samples, random_elements(20), start_ns=START_NS)
    recording = open_recording(tmp_path / "bag")
    assert (len(recording), recording.up, recording.notes) == (len(samples), "+z", ())
    for frame, sample in zip(recording.frames(), samples, strict=True):
        assert torch.equal(frame.view.image, sample.view.image)
        torch.testing.assert_close(frame.view.depth, sample.view.depth, equal_nan=True)
        torch.testing.assert_close(frame.view.T_world_camera, sample.view.T_world_camera, rtol=0, atol=1e-9)
        torch.testing.assert_close(frame.view.camera.K, sample.view.camera.K, rtol=0, atol=1e-9)
