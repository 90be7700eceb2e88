"""Which topics of a bag are the camera: found where that is unambiguous, named by the user where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vmem_ros.errors import RecordingError
from vmem_ros.messages.compressed_images import is_compressed_depth
from vmem_ros.messages.encodings import COLOR_ENCODINGS
from vmem_ros.messages.images import DEPTH_ENCODINGS
from vmem_ros.recordings.bag_file import BagFile, Topic

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
#: What the option of a topic says when there shall be none.
NONE = "none"
_SUFFIXES = ("/compressed", "/compressedDepth")
_GRAY = ("mono", "8UC1")


@dataclass(frozen=True)
class ImageTopic:
    """A topic of images and its first message.

    :param compressed: its messages are ``sensor_msgs/msg/CompressedImage``.
    :param frame_id: of its first message, without the slash that ROS 1 put before it.
    """

    name: str
    compressed: bool
    depth: bool
    gray: bool
    frame_id: str

    @property
    def base(self) -> str:
        """The name without what image_transport appends."""
        return next((self.name.removesuffix(s) for s in _SUFFIXES if self.name.endswith(s)), self.name)

    @property
    def rectified(self) -> bool:
        """Whether its name says so, as ROS has it: ``image_rect``, ``image_rect_color``, ``image_rect_raw``."""
        return "rect" in self.base.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class CameraTopics:
    """The topics of one camera.

    :param depth: ``None`` if there is none, or none is wanted.
    :param depth_info: ``None`` if depth has no intrinsics of its own.
    """

    image: ImageTopic
    info: str
    depth: ImageTopic | None
    depth_info: str | None


def camera_topics(bag: BagFile, *, image: str, info: str, depth: str, depth_info: str) -> CameraTopics:
    """Return the topics of the camera.

    :param image: name of the topic of colour, ``""`` to find it; so for the others. ``depth`` may be ``none``.
    :raises RecordingError: a name that the bag does not have or of another kind, none found, or several.
    """
    images = [_image_topic(bag, t) for t in bag.topics.values() if t.type in (IMAGE, COMPRESSED_IMAGE)]
    colors, depths = [t for t in images if not t.depth], [t for t in images if t.depth]
    color = _named(bag, image, colors, "image_topic") if image else _found_color(bag, colors)
    found = None
    if depth and depth != NONE:
        found = _named(bag, depth, depths, "depth_topic")
    elif not depth:
        found = _found_depth(bag, depths, color)
    infos = [t.name for t in bag.topics.values() if t.type == CAMERA_INFO]
    color_info = info or _sibling(color, infos) or (infos[0] if len(infos) == 1 else "")
    if color_info not in infos:
        raise RecordingError(
            f"{color.name} has no CameraInfo beside it: give camera_info_topic, {_choices(bag, infos)}"
            if not info
            else f"camera_info_topic = {info!r} is not in the bag: {_choices(bag, infos)}"
        )
    if depth_info and depth_info not in infos:
        raise RecordingError(f"depth_info_topic = {depth_info!r} is not in the bag: {_choices(bag, infos)}")
    return CameraTopics(color, color_info, found, depth_info or (_sibling(found, infos) if found else None))


def nearest_names(names: Iterable[str], to: str) -> list[str]:
    """Return the names that share the most parts of their namespace with a topic."""
    shared = {name: _shared_parts(name, to) for name in names}
    return [name for name, count in shared.items() if count == max(shared.values())]


def _shared_parts(a: str, b: str) -> int:
    pairs = list(zip(a.split("/")[:-1], b.split("/")[:-1], strict=False))
    return next((i for i, (x, y) in enumerate(pairs) if x != y), len(pairs))


def _image_topic(bag: BagFile, topic: Topic) -> ImageTopic:
    message = bag.first(topic.name)
    compressed = topic.type == COMPRESSED_IMAGE
    depth = is_compressed_depth(message) if compressed else message.encoding in DEPTH_ENCODINGS
    encoding = message.format if compressed else message.encoding
    return ImageTopic(
        topic.name, compressed, depth, encoding.startswith(_GRAY), message.header.frame_id.removeprefix("/")
    )


def _named(bag: BagFile, name: str, among: Sequence[ImageTopic], option: str) -> ImageTopic:
    found = next((topic for topic in among if topic.name == name), None)
    if found is None:
        kinds = ", ".join(COLOR_ENCODINGS if option == "image_topic" else DEPTH_ENCODINGS)
        raise RecordingError(
            f"{option} = {name!r} is no topic of the bag with images in {kinds} or compressed: "
            f"{_choices(bag, [t.name for t in among])}"
        )
    return found


def _found_color(bag: BagFile, colors: Sequence[ImageTopic]) -> ImageTopic:
    left = _preferred(colors, lambda t: not t.gray)
    left = _one_of_each_stream(left)
    if not left:
        raise RecordingError(f"the bag has no colour images: it has {', '.join(bag.topics) or 'nothing'}")
    if len(left) > 1:
        raise RecordingError(f"the bag has several cameras: give image_topic, {_choices(bag, [t.name for t in left])}")
    return left[0]


def _found_depth(bag: BagFile, depths: Sequence[ImageTopic], color: ImageTopic) -> ImageTopic | None:
    """Return the depth of a colour camera: registered to it, or at least of the same device."""
    # Other maps of floats, of confidence say, look the same.
    left = _preferred(depths, lambda t: "depth" in t.name)
    left = _preferred(left, lambda t: t.frame_id == color.frame_id)
    near = nearest_names([t.base for t in left], color.base)
    left = _one_of_each_stream([t for t in left if t.base in near])
    if len(left) > 1:
        names = _choices(bag, [t.name for t in left])
        raise RecordingError(
            f"the bag has several depth images beside {color.name}: give depth_topic, {names}, or none"
        )
    return left[0] if left else None


def _preferred(topics: Sequence[ImageTopic], better: Callable[[ImageTopic], bool]) -> list[ImageTopic]:
    return [t for t in topics if better(t)] or list(topics)


def _one_of_each_stream(topics: Sequence[ImageTopic]) -> list[ImageTopic]:
    """Return the topics without compressed ones of images that are there as they are, too."""
    return list({t.base: t for t in sorted(topics, key=lambda t: not t.compressed)}.values())


def _sibling(topic: ImageTopic, infos: Sequence[str]) -> str | None:
    name = f"{topic.base.rsplit('/', 1)[0]}/camera_info"
    return name if name in infos else None


def _choices(bag: BagFile, names: Sequence[Any]) -> str:
    return "one of " + ", ".join(f"{n} ({bag.topics[n].count} messages)" for n in names) if names else "it has none"
