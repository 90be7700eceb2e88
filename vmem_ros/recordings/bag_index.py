"""What is where in a bag: read once, without keeping pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.protocols import OnStep
from vmem_ros.recordings.bag_file import BagFile
from vmem_ros.recordings.bag_poses import PoseCollector
from vmem_ros.recordings.bag_topics import CameraTopics

_STEPS = 200


@dataclass(frozen=True, order=True)
class Entry:
    """Where a message is: the time in its header, and the time at which it was written."""

    stamp_ns: int
    written_ns: int


@dataclass
class Intrinsics:
    """The different CameraInfos of a topic in the order of time, and from when on each holds."""

    messages: list[Any] = field(default_factory=list)
    _since_ns: list[int] = field(default_factory=list)

    def add(self, message: Any) -> None:
        """Take in the next message."""
        if not self.messages or not same_lens(message, self.messages[-1]):
            self.messages.append(message)
            self._since_ns.append(stamp_to_ns(message.header.stamp))

    def at(self, stamp_ns: int, *, tolerance_s: float) -> int:
        """Return the number of the one that holds at a time; before the first, the first does."""
        began = np.searchsorted(self._since_ns, stamp_ns + round(tolerance_s * 1e9), side="right")
        return max(int(began) - 1, 0)


@dataclass(frozen=True, eq=False)
class BagIndex:
    """The messages of one camera.

    :param images: in the order of time, as ``depths``.
    :param depth_infos: empty if depth has no intrinsics of its own.
    """

    images: list[Entry]
    depths: list[Entry]
    infos: Intrinsics
    depth_infos: Intrinsics
    poses: PoseCollector


def index_bag(bag: BagFile, topics: CameraTopics, on_step: OnStep | None = None) -> BagIndex:
    """Return where the messages of a camera are; poses and intrinsics are kept, pictures are not.

    :param on_step: called with the number of messages read so far and of all that are read.
    :raises RecordingError: the bag is damaged.
    """
    poses = PoseCollector(bag.topics.values())
    images: dict[str, list[Entry]] = {t.name: [] for t in (topics.image, topics.depth) if t is not None}
    infos = {name: Intrinsics() for name in (topics.info, topics.depth_info) if name is not None}
    chosen = {*images, *infos, *poses.topics}
    total = sum(bag.topics[name].count for name in chosen)
    for step, (name, written_ns, message) in enumerate(bag.messages(chosen), start=1):
        if name in images:
            images[name].append(Entry(stamp_to_ns(message.header.stamp), written_ns))
        elif name in infos:
            infos[name].add(message)
        else:
            poses.add(name, message)
        if on_step is not None and (step == total or step % max(1, total // _STEPS) == 0):
            on_step(step, total)
    return BagIndex(
        images=sorted(images[topics.image.name]),
        depths=sorted(images[topics.depth.name]) if topics.depth else [],
        infos=infos[topics.info],
        depth_infos=infos[topics.depth_info] if topics.depth_info else Intrinsics(),
        poses=poses,
    )


def same_lens(a: Any, b: Any) -> bool:
    """Return whether two ``sensor_msgs/msg/CameraInfo`` describe the same lens and size."""
    sizes = [(m.width, m.height, m.distortion_model, m.binning_x, m.binning_y, m.roi) for m in (a, b)]
    return sizes[0] == sizes[1] and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in "dkrp")
