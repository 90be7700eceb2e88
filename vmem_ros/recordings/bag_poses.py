"""Where the camera of a bag was: from /tf, or from a topic of poses."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from vmem_ros.errors import FrameError, InvalidPoseError, RecordingError
from vmem_ros.geometry import invert, pose_from
from vmem_ros.geometry.transform_tree import TransformTree
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.recordings.bag_file import Topic
from vmem_ros.recordings.bag_topics import nearest_names

TRANSFORMS = "tf2_msgs/msg/TFMessage"
ODOMETRY = "nav_msgs/msg/Odometry"
#: Types of messages that say where something is.
POSES = ("geometry_msgs/msg/PoseStamped", "geometry_msgs/msg/PoseWithCovarianceStamped", ODOMETRY)
#: What a pose may be of, besides a frame of /tf_static: the optical frame (z forward), the link (x forward, REP-103).
OPTICAL, LINK = "optical", "link"
# This package's own topic, whose poses are documented to be of the link.
_OWN_POSES = "/seed/pose"
_STATIC = "tf_static"


@dataclass
class _Track:
    """Transforms from a parent to a child in the order in which they came; 64 bytes each, as there may be many."""

    static: bool
    stamps_ns: array[int] = field(default_factory=lambda: array("q"))
    numbers: array[float] = field(default_factory=lambda: array("d"))

    def add(self, stamp_ns: int, position: Any, quaternion: Any) -> None:
        self.stamps_ns.append(stamp_ns)
        q = quaternion
        self.numbers.extend((position.x, position.y, position.z, q.x, q.y, q.z, q.w))

    def fill(self, tree: TransformTree, parent: str, child: str, T_tracked_child: Tensor | None = None) -> int:
        """Add all transforms to a tree and return how many were no transforms.

        :param T_tracked_child: [4, 4] of ``child`` in the frame that the transforms are of, if that is another one.
        """
        wrong = 0
        for i, stamp_ns in enumerate(self.stamps_ns):
            numbers = self.numbers[7 * i : 7 * i + 7]
            try:
                T = pose_from(numbers[:3], numbers[3:])
            except InvalidPoseError:
                wrong += 1
                continue
            tree.add(parent, child, T if T_tracked_child is None else T @ T_tracked_child, stamp_ns, static=self.static)
        return wrong


@dataclass(frozen=True, eq=False)
class Places:
    """Where frames are at any time of a recording.

    :param world: the frame that is the world of the recording.
    :param notes: what a user should know.
    """

    tree: TransformTree
    world: str
    notes: tuple[str, ...]


class PoseCollector:
    """Takes in what a bag says of frames and poses, and makes the tree that the camera's poses are looked up in.

    :param topics: of the bag.
    """

    def __init__(self, topics: Iterable[Topic]) -> None:
        self._types = {t.name: t.type for t in topics if t.type == TRANSFORMS or t.type in POSES}
        #: Topics whose messages it takes.
        self.topics = tuple(self._types)
        self._frames: dict[tuple[str, str], _Track] = {}
        self._poses: dict[tuple[str, str, str], _Track] = {}

    def add(self, topic: str, message: Any) -> None:
        """Take in one message of one of :attr:`topics`."""
        kind = self._types[topic]
        if kind == TRANSFORMS:
            static = topic.endswith(_STATIC)
            for t in message.transforms:
                key = (_frame(t.header.frame_id), _frame(t.child_frame_id))
                track = self._frames.setdefault(key, _Track(static))
                track.add(stamp_to_ns(t.header.stamp), t.transform.translation, t.transform.rotation)
            return
        pose = message.pose if kind == POSES[0] else message.pose.pose
        child = _frame(message.child_frame_id) if kind == ODOMETRY else ""
        track = self._poses.setdefault((topic, _frame(message.header.frame_id), child), _Track(False))
        track.add(stamp_to_ns(message.header.stamp), pose.position, pose.orientation)

    def places(
        self,
        camera: str,
        others: Iterable[str],
        *,
        image_topic: str,
        pose_topic: str,
        pose_of: str,
        fixed_frame: str,
        max_gap_s: float,
        slack_s: float,
    ) -> Places:
        """Return where to look up the camera's poses.

        :param camera: its optical frame.
        :param others: further frames that will be looked up, such as that of depth.
        :param image_topic: its images; of several topics of poses, the one beside it is meant.
        :param pose_topic: ``""``: /tf if it moves the camera, else the topic of poses that is found.
        :param pose_of: what the poses of a topic are of: ``optical``, ``link``, or a frame of /tf_static; ``""``: the
            child frame of an Odometry.
        :param fixed_frame: the world; ``""``: the root of /tf, or the frame in which poses are given.
        :raises RecordingError: nothing, or nothing unambiguous, says where the camera is.
        """
        chain = self._chain(camera)
        moves = any(not self._frames[parent, child].static for child, parent in chain)
        tree = TransformTree(keep_s=math.inf, max_gap_s=max_gap_s, slack_s=slack_s)
        if not pose_topic and (moves or (fixed_frame and chain)):
            known = [camera, *(parent for _, parent in chain)]
            world = fixed_frame or known[-1]
            if world not in known:
                raise RecordingError(f"fixed_frame = {world!r} is not above {camera!r} in /tf: {' < '.join(known)}")
            return Places(tree, world, self._fill(tree, [camera, *others], static_only=False))
        topic = pose_topic or self._found_pose_topic(image_topic, camera)
        (world, child), track = self._track_of(topic)
        notes = self._fill(tree, [camera, *others], static_only=True)
        # The poses become those of the root of all that is fixed to the camera.
        root = next((parent for _, parent in reversed(self._chain(camera, static_only=True))), camera)
        of = pose_of or child or (LINK if topic.endswith(_OWN_POSES) else "")
        T_tracked_root = invert(_tracked(tree, root, camera, of, topic))
        wrong = track.fill(tree, world, root, T_tracked_root)
        return Places(tree, world, (*_ignored(wrong, topic), *notes))

    def _fill(self, tree: TransformTree, frames: Iterable[str], *, static_only: bool) -> tuple[str, ...]:
        """Add the transforms above some frames to a tree and return notes."""
        notes: list[str] = []
        edges = (edge for frame in frames for edge in self._chain(frame, static_only=static_only))
        for child, parent in dict.fromkeys(edges):
            wrong = self._frames[parent, child].fill(tree, parent, child)
            notes += _ignored(wrong, f"{parent} -> {child}")
        return tuple(notes)

    def _chain(self, frame: str, *, static_only: bool = False) -> list[tuple[str, str]]:
        """Return (child, parent) from a frame up to the root.

        :raises RecordingError: a frame has several parents, or is its own ancestor.
        """
        out: list[tuple[str, str]] = []
        while True:
            parents = [p for (p, c), track in self._frames.items() if c == frame and (track.static or not static_only)]
            if not parents:
                return out
            if len(parents) > 1:
                raise RecordingError(f"frame {frame!r} has several parents in /tf: {', '.join(sorted(parents))}")
            if any(parents[0] == child for child, _ in out):
                raise RecordingError(f"frame {frame!r} is its own ancestor in /tf: the tree has a loop")
            out.append((frame, parents[0]))
            frame = parents[0]

    def _found_pose_topic(self, image_topic: str, camera: str) -> str:
        candidates = sorted({topic for topic, _, _ in self._poses})
        near = nearest_names(candidates, image_topic)
        if len(near) == 1:
            return near[0]
        where = f"/tf does not say how {camera!r} moves"
        if not near:
            raise RecordingError(f"{where}, and the bag has no poses: of a camera that stands still, give fixed_frame")
        raise RecordingError(f"{where}: give pose_topic, one of {', '.join(candidates)}")

    def _track_of(self, topic: str) -> tuple[tuple[str, str], _Track]:
        found = [((world, child), track) for (name, world, child), track in self._poses.items() if name == topic]
        if not found:
            names = ", ".join(sorted({name for name, _, _ in self._poses})) or "it has none"
            raise RecordingError(f"pose_topic = {topic!r} is no topic of poses in the bag: {names}")
        if len(found) > 1:
            frames = ", ".join(f"{world} -> {child}" if child else world for (world, child), _ in found)
            raise RecordingError(f"{topic} changes its frames: {frames}")
        return found[0]


def _tracked(tree: TransformTree, root: str, camera: str, of: str, topic: str) -> Tensor:
    """Return the pose [4, 4] of the frame that the poses of a topic are of, in a frame that is fixed to the camera.

    :param of: as of :meth:`PoseCollector.places`.
    """
    T_root_camera = torch.eye(4, dtype=torch.float64) if root == camera else tree.lookup(root, camera, 0)
    if of in (OPTICAL, camera):
        return T_root_camera
    if of == LINK:
        return link_from_camera(T_root_camera)
    if not of:
        raise RecordingError(
            f"{topic} does not say what it is the pose of: give pose_of={OPTICAL} (z forward), {LINK} (x forward) or "
            "the name of a frame of /tf_static"
        )
    try:
        return tree.lookup(root, of, 0)
    except FrameError as error:
        raise RecordingError(
            f"{topic} is the pose of {of!r}, and /tf_static does not lead from there to {camera!r}: give "
            f"pose_of={OPTICAL}, {LINK} or the name of a frame that it does lead from"
        ) from error


def _ignored(count: int, what: str) -> list[str]:
    return [f"ignored {count} poses of {what} that are no poses"] if count else []


def _frame(name: str) -> str:
    """Return the name of a frame without the slash that ROS 1 put before it."""
    return str(name).removeprefix("/")
