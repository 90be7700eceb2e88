"""A ROS 2 bag (MCAP or sqlite3) with the images of one camera, its intrinsics and where it was.

Colour leads: each image is joined with the depth nearest in time and the pose at its time. Images of lenses are
rectified; depth of another camera is registered to colour. Times are those of the headers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vmem_ros.errors import FrameError, RecordingError
from vmem_ros.messages.observed_view import ObservedView
from vmem_ros.protocols import OnStep
from vmem_ros.recordings.association import partners
from vmem_ros.recordings.bag_file import BagFile
from vmem_ros.recordings.bag_images import ImageStream
from vmem_ros.recordings.bag_index import BagIndex, Entry, index_bag, same_lens
from vmem_ros.recordings.bag_topics import camera_topics
from vmem_ros.recordings.lens import Lens
from vmem_ros.recordings.pose_gaps import Policy, PoseGaps
from vmem_ros.recordings.registration import register_depth
from vmem_ros.types import Target, View

LAYOUT = "bag"
# REP-103: z is up in the frames of robots and maps.
_UP = "+z"


@dataclass(frozen=True)
class BagOptions:
    """Options of the layout. Topics and frames that are left empty are found where that is unambiguous.

    :param image_topic: colour images, raw or compressed.
    :param camera_info_topic: their intrinsics; found beside them.
    :param depth_topic: depth images, raw or compressed; ``none``: without depth.
    :param depth_info_topic: their intrinsics; found beside them.
    :param pose_topic: PoseStamped, PoseWithCovarianceStamped or Odometry; empty: /tf where it moves the camera.
    :param pose_of: what its poses are of: ``optical`` (z forward), ``link`` (x forward) or a frame of /tf_static.
    :param fixed_frame: the frame that is the world; empty: the root of /tf.
    :param camera_frame: the optical frame of colour, where the images' own ``frame_id`` is wrong.
    :param rectified: images and depth are rectified although their intrinsics list distortion; so are topics whose
        last name has ``rect``.
    :param depth_registered: depth is registered to colour although its frame or intrinsics say otherwise.
    :param tolerance_s: how far apart in time colour and depth of one frame may be, and a frame from the nearest
        transform where transforms end.
    :param max_gap_s: between two transforms that are farther apart, nothing is known.
    :param gaps: what becomes of frames without a pose: ``error`` or ``skip``.
    """

    image_topic: str = ""
    camera_info_topic: str = ""
    depth_topic: str = ""
    depth_info_topic: str = ""
    pose_topic: str = ""
    pose_of: str = ""
    fixed_frame: str = ""
    camera_frame: str = ""
    rectified: bool = False
    depth_registered: bool = False
    tolerance_s: float = 0.02
    max_gap_s: float = 0.5
    gaps: Policy = "error"


@dataclass(frozen=True)
class _Frame:
    """One colour image, the depth that belongs to it, and the numbers of their intrinsics."""

    image: Entry
    depth: Entry | None
    info: int
    depth_info: int

    @property
    def name(self) -> str:
        return f"{self.image.stamp_ns / 1e9:.3f} s"


def open_bag(options: BagOptions, *, path: Path, on_step: OnStep | None = None) -> Bag:
    """Return the frames of a bag. Reads all of it once, for the times of its messages; keeps no picture.

    :param on_step: called with the number of messages read so far and of all that are read.
    :raises RecordingError: something is missing, ambiguous or damaged.
    """
    bag = BagFile(path)
    try:
        return Bag(bag, options, on_step)
    except BaseException:
        bag.close()
        raise


class Bag:
    """A :class:`~vmem_ros.recordings.source.Source` of a bag.

    :param bag: open; it is closed with this.
    """

    layout = LAYOUT
    up = _UP

    def __init__(self, bag: BagFile, options: BagOptions, on_step: OnStep | None = None) -> None:
        self._bag, self._registered = bag, options.depth_registered
        topics = camera_topics(
            bag,
            image=options.image_topic,
            info=options.camera_info_topic,
            depth=options.depth_topic,
            depth_info=options.depth_info_topic,
        )
        self._frame_id = options.camera_frame or topics.image.frame_id
        if not self._frame_id:
            raise RecordingError(f"the images of {topics.image.name} name no frame: give camera_frame")
        index = index_bag(bag, topics, on_step)
        self._color = ImageStream(
            bag, topics.image, index.infos.messages, info_topic=topics.info, rectified=options.rectified
        )
        self._depth = None
        if topics.depth is not None:
            self._depth = ImageStream(
                bag, topics.depth, index.depth_infos.messages, info_topic=topics.depth_info, rectified=options.rectified
            )
        self._places = index.poses.places(
            self._frame_id,
            # Depth that is measured from elsewhere needs to know from where.
            [self._depth.topic.frame_id] if self._depth else [],
            image_topic=topics.image.name,
            pose_topic=options.pose_topic,
            pose_of=options.pose_of,
            fixed_frame=options.fixed_frame,
            max_gap_s=options.max_gap_s,
            slack_s=options.tolerance_s,
        )
        joined, unjoined = _joined(index, has_depth=self._depth is not None, tolerance_s=options.tolerance_s)
        self._frames, gaps = self._posed(joined, options.gaps)
        self.names = [frame.name for frame in self._frames]
        self.notes = [*self._places.notes, *unjoined, *gaps]

    def read(self, index: int) -> ObservedView:
        """See :class:`~vmem_ros.recordings.source.Source`."""
        frame, target = self._frames[index], self.targets[index]
        lens = self._color.lenses[frame.info]
        image = self._color.color(frame.image, lens)
        depth = None if frame.depth is None else self._registered_depth(frame, frame.depth, lens)
        view = View(image, target.camera, target.T_world_camera, depth, stamp_ns=target.stamp_ns)
        return ObservedView(view, None if lens.rectifier is None else torch.from_numpy(lens.rectifier.outside))

    def close(self) -> None:
        """Close the bag."""
        self._bag.close()

    def _posed(self, frames: Sequence[_Frame], policy: Policy) -> tuple[list[_Frame], list[str]]:
        """Return the frames whose pose is known, and notes of the others; note where each is in :attr:`targets`."""
        kept, gaps = [], PoseGaps(policy)
        self.targets: list[Target] = []
        for number, frame in enumerate(frames):
            stamp_ns = frame.image.stamp_ns
            try:
                T = self._places.tree.lookup(self._places.world, self._frame_id, stamp_ns)
            except FrameError as error:
                gaps.add(number, frame.name, str(error))
                continue
            kept.append(frame)
            self.targets.append(Target(self._color.lenses[frame.info].camera, T, stamp_ns))
        return kept, gaps.notes(len(frames))

    def _registered_depth(self, frame: _Frame, entry: Entry, lens: Lens) -> Tensor:
        """Return the depth of a frame as the colour camera would have measured it."""
        assert self._depth is not None, "frames have depth where there is a topic of it"
        topic, color = self._depth.topic, self._color.topic
        own = self._depth.infos[frame.depth_info] if self._depth.infos else None
        beside = topic.frame_id == color.frame_id
        if self._registered or (beside and (own is None or same_lens(own, self._color.infos[frame.info]))):
            return self._depth.depth(entry, lens)
        if own is None:
            raise RecordingError(
                f"{topic.name} is measured in {topic.frame_id!r}, not in {color.frame_id!r}, and has no CameraInfo: "
                "give depth_info_topic, or depth_registered=true if it is registered to colour"
            )
        own_lens = self._depth.lenses[frame.depth_info]
        try:
            T = self._places.tree.lookup(self._frame_id, topic.frame_id, frame.image.stamp_ns)
        except FrameError as error:
            raise RecordingError(
                f"{topic.name} at {frame.name}: {error}; if it is registered to colour, give depth_registered=true"
            ) from error
        return register_depth(self._depth.depth(entry, own_lens), own_lens.camera, lens.camera, T)


def _joined(index: BagIndex, *, has_depth: bool, tolerance_s: float) -> tuple[list[_Frame], list[str]]:
    """Return the images with the depth that belongs to each, and notes of those that have none."""
    images, depths = index.images, index.depths
    partner = partners([e.stamp_ns for e in images], [e.stamp_ns for e in depths], tolerance_s=tolerance_s)
    frames = []
    for image, number in zip(images, partner, strict=True):
        depth = depths[number] if number >= 0 else None
        if depth is None and has_depth:
            continue
        info, depth_info = (i.at(image.stamp_ns, tolerance_s=tolerance_s) for i in (index.infos, index.depth_infos))
        frames.append(_Frame(image, depth, info, depth_info))
    missing = len(images) - len(frames)
    return frames, [f"left out {missing} of {len(images)} frames without depth within {tolerance_s:g} s"] * (
        missing > 0
    )
