"""Views written as the bag of an RGB-D camera: images, intrinsics, registered depth, and where the camera was."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vmem_ros.errors import RecordingError
from vmem_ros.messages.camera_info import camera_to_message
from vmem_ros.messages.images import image_to_message, jpeg_to_message, map_to_message
from vmem_ros.messages.stamps import header
from vmem_ros.messages.transforms import transform_to_message
from vmem_ros.recordings.bag_writer import BagWriter, Storage
from vmem_ros.types import View

_WORLD, _OPTICAL = "map", "camera_optical_frame"
IMAGE, INFO = "/camera/color/image_raw", "/camera/color/camera_info"
DEPTH, DEPTH_INFO = "/camera/aligned_depth/image_rect", "/camera/aligned_depth/camera_info"
_TF = "/tf"


def write_bag(
    folder: Path, views: Iterable[View], *, jpeg_quality: int | None = None, storage: Storage = "mcap"
) -> None:
    """Write views as a bag that ``ros2 bag play`` plays and :mod:`~vmem_ros.recordings` reads.

    :param folder: of the bag; an older bag there is replaced.
    :param views: taken one by one, with rising times.
    :param jpeg_quality: of the colour images, 1 to 100; ``None``: as they are.
    :raises RecordingError: times that do not rise.
    :raises FileExistsError: the folder holds something else than a bag.
    """
    image_topic = IMAGE if jpeg_quality is None else f"{IMAGE}/compressed"
    with BagWriter(folder, storage=storage) as bag:
        types = bag.message_types
        bag.add_topic(image_topic, f"sensor_msgs/msg/{'Image' if jpeg_quality is None else 'CompressedImage'}")
        bag.add_topic(INFO, "sensor_msgs/msg/CameraInfo")
        bag.add_topic(DEPTH, "sensor_msgs/msg/Image")
        bag.add_topic(DEPTH_INFO, "sensor_msgs/msg/CameraInfo")
        bag.add_topic(_TF, "tf2_msgs/msg/TFMessage")
        before = -1
        for index, view in enumerate(views):
            now = view.stamp_ns
            if now <= before:
                raise RecordingError(f"view {index} is of {now} ns, the one before of {before}: times must rise")
            before = now
            optical = header(types, _OPTICAL, now)
            moved = transform_to_message(types, view.T_world_camera, header(types, _WORLD, now), _OPTICAL)
            info = camera_to_message(types, view.camera, optical)
            if jpeg_quality is None:
                image = image_to_message(types, view.image, optical)
            else:
                image = jpeg_to_message(types, view.image, optical, quality=jpeg_quality)
            messages = {
                _TF: types.make("tf2_msgs/msg/TFMessage", transforms=[moved]),
                INFO: info,
                image_topic: image,
            }
            if view.depth is not None:
                messages |= {DEPTH_INFO: info, DEPTH: map_to_message(types, view.depth, optical)}
            for topic, message in messages.items():
                bag.write_message(topic, now, message)
