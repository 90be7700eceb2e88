"""The views of a world as the messages that the ROS camera would have published, for Foxglove and ``ros2 bag play``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vmem_ros.messages.camera_info import camera_to_message
from vmem_ros.messages.clouds import elements_to_message
from vmem_ros.messages.images import image_to_message, map_to_message
from vmem_ros.messages.stamps import header
from vmem_ros.messages.transforms import link_from_camera, pose_to_message, transform_to_message
from vmem_ros.recordings.bag_writer import BagWriter
from vmem_ros.reporting.sample import Sample
from vmem_ros.types import Elements

_NAMESPACE = "/vmem"
_WORLD, _OPTICAL = "map", "vmem_generated_optical_frame"
_PERIOD_NS = 200_000_000
#: Topics of a recording and their types, as the ROS camera has them.
TOPICS = {
    "camera/image_raw": "sensor_msgs/msg/Image",
    "camera/camera_info": "sensor_msgs/msg/CameraInfo",
    "camera/depth/image_rect": "sensor_msgs/msg/Image",
    "camera/depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "camera/confidence": "sensor_msgs/msg/Image",
    "pose": "geometry_msgs/msg/PoseStamped",
    "/tf": "tf2_msgs/msg/TFMessage",
    "memory/surfels": "sensor_msgs/msg/PointCloud2",
    "memory/path": "nav_msgs/msg/Path",
}
_LATCHED = ("memory/surfels", "memory/path")


def write_recording(folder: Path, samples: Sequence[Sample], elements: Elements, *, start_ns: int) -> None:
    """Write views and the cloud of the memory as a recording, on the topics and in the frames of the ROS camera.

    :param start_ns: time of the first message; a view follows every 200 ms.
    """
    with BagWriter(folder) as recording:
        for topic, message_type in TOPICS.items():
            recording.add_topic(_full(topic), message_type, latched=topic in _LATCHED)
        types = recording.message_types
        poses = []
        for i, sample in enumerate(samples):
            now = start_ns + i * _PERIOD_NS
            view, world, optical = sample.view, header(types, _WORLD, now), header(types, _OPTICAL, now)
            link = pose_to_message(types, link_from_camera(view.T_world_camera))
            poses.append(types.make("geometry_msgs/msg/PoseStamped", header=world, pose=link))
            transform = transform_to_message(types, view.T_world_camera, world, _OPTICAL)
            messages = {
                "/tf": types.make("tf2_msgs/msg/TFMessage", transforms=[transform]),
                "pose": poses[-1],
                "camera/camera_info": camera_to_message(types, view.camera, optical),
                "camera/image_raw": image_to_message(types, view.image, optical),
                "camera/confidence": map_to_message(types, sample.confidence, optical),
            }
            if view.depth is not None:
                messages["camera/depth/camera_info"] = messages["camera/camera_info"]
                messages["camera/depth/image_rect"] = map_to_message(types, view.depth, optical)
            for topic, message in messages.items():
                recording.write_message(_full(topic), now, message)
        recording.write_message(_full("memory/surfels"), now, elements_to_message(types, elements, world))
        recording.write_message(_full("memory/path"), now, types.make("nav_msgs/msg/Path", header=world, poses=poses))


def _full(topic: str) -> str:
    return topic if topic.startswith("/") else f"{_NAMESPACE}/{topic}"
