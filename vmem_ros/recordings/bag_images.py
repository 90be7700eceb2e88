"""The images of one topic of a bag, as arrays, and the lens that took them."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.errors import InvalidCameraError, InvalidImageError, RecordingError
from vmem_ros.messages.camera_images import color_of, depth_of
from vmem_ros.messages.camera_info import camera_from_message
from vmem_ros.messages.rectification import rectifier_for
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.recordings.bag_file import BagFile
from vmem_ros.recordings.bag_index import Entry
from vmem_ros.recordings.bag_topics import ImageTopic
from vmem_ros.recordings.lens import Lens


class ImageStream:
    """Colour or depth images.

    :param infos: the different ``sensor_msgs/msg/CameraInfo`` of the topic.
    :param info_topic: where they are from.
    :param rectified: the images are rectified although ``infos`` list distortion.
    :raises RecordingError: intrinsics that are no camera's, or of a lens that is not known.
    """

    def __init__(
        self, bag: BagFile, topic: ImageTopic, infos: list[Any], *, info_topic: str | None, rectified: bool
    ) -> None:
        self.topic, self.infos = topic, infos
        self._bag = bag
        #: One for each of ``infos``.
        self.lenses = [_lens(info, str(info_topic), rectified or topic.rectified) for info in infos]

    def color(self, entry: Entry, lens: Lens) -> Tensor:
        """Return [H, W, 3] uint8 RGB, rectified.

        :raises RecordingError: damaged, or it does not fit the intrinsics.
        """
        pixels = self._fitting(color_of, entry, lens)
        return torch.from_numpy(pixels if lens.rectifier is None else lens.rectifier.image(pixels))

    def depth(self, entry: Entry, lens: Lens) -> Tensor:
        """Return [H, W] float32 metres, rectified; errors as of :meth:`color`."""
        pixels = self._fitting(lambda message: depth_of(message).depth, entry, lens)
        return torch.from_numpy(pixels if lens.rectifier is None else lens.rectifier.depth(pixels))

    def _fitting(self, decode: Any, entry: Entry, lens: Lens) -> NDArray:
        where = f"{self.topic.name} at {entry.stamp_ns / 1e9:.3f} s"
        try:
            pixels: NDArray = decode(self._message(entry, where))
        except InvalidImageError as error:
            raise RecordingError(f"{where}: {error}") from error
        if pixels.shape[:2] != lens.camera.size:
            raise RecordingError(
                f"{where} is {pixels.shape[1]} x {pixels.shape[0]}, but its intrinsics are for {lens.camera.width} x "
                f"{lens.camera.height}: name the CameraInfo of that size"
            )
        return pixels

    def _message(self, entry: Entry, where: str) -> Any:
        written = self._bag.messages([self.topic.name], start_ns=entry.written_ns, stop_ns=entry.written_ns + 1)
        found = next((m for _, _, m in written if stamp_to_ns(m.header.stamp) == entry.stamp_ns), None)
        if found is None:
            raise RecordingError(f"{where} is not there any more: has the bag changed?")
        return found


def _lens(info: Any, topic: str, rectified: bool) -> Lens:
    try:
        rectifier = None if rectified else rectifier_for(info)
        return Lens(camera_from_message(info, rectified=rectified or rectifier is not None), rectifier)
    except InvalidCameraError as error:
        raise RecordingError(f"{topic}: {error}") from error
