"""Goals of ~/generate as the node takes them: their poses in arrays, and no more of them than it may draw.

rclpy makes ten objects of each pose while it takes a goal, in the executor's thread: two seconds for 100,000, in which
nobody gets an answer. Here the poses are read from the C structure that rclpy has before it makes objects. rosidl lays
structures out in the same way everywhere; should it not, the server finds out when it starts and takes rclpy's way.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from rclpy.type_support import check_for_type_support
from sensor_msgs.msg import CameraInfo
from vmem_ros.action import GenerateViews

from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.camera.pose_list import PoseList
from vmem_ros.nodes.interface.rclpy_messages import header

_MESSAGE = GenerateViews.Impl.SendGoalService.Request
# The id of the goal comes before its poses.
_POSES_AT = 16
# geometry_msgs/PoseStamped: a stamp, a string (where it is, its length, its room), and seven doubles.
_POSE = np.dtype([("s", "i4"), ("ns", "u4"), ("text", "u8"), ("length", "u8"), ("room", "u8"), ("pose", "f8", 7)])

_to_python = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)
_from_python = ctypes.PYFUNCTYPE(ctypes.c_bool, ctypes.py_object, ctypes.c_void_p)
_create = ctypes.PYFUNCTYPE(ctypes.c_void_p)
_destroy = ctypes.PYFUNCTYPE(None, ctypes.c_void_p)
_pointer_of = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_capsule_of = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)


class _Sequence(ctypes.Structure):
    _fields_ = (("data", ctypes.c_void_p), ("size", ctypes.c_size_t), ("capacity", ctypes.c_size_t))


@dataclass
class BoundedGoal:
    """A goal of ~/generate.

    :param count: how many poses it has.
    :param poses: all of them; of too many, some.
    """

    count: int
    poses: PoseList
    camera_info: CameraInfo
    seed: int
    prompt: str


@dataclass
class _Request:
    goal_id: Any
    goal: BoundedGoal


def bounded_goal(goal: GenerateViews.Goal, most: int) -> BoundedGoal:
    """Return a goal as it is after rclpy has made objects of it."""
    poses = pose_list(goal.poses[: most + 1])
    return BoundedGoal(len(goal.poses), poses, goal.camera_info, int(goal.seed), goal.prompt)


def pose_list(poses: Sequence[PoseStamped], *, frame_id: str = "") -> PoseList:
    """Return poses in arrays.

    :param frame_id: of poses that name none.
    """
    parts = [(each.pose.position, each.pose.orientation) for each in poses]
    numbers = [[p.x, p.y, p.z, q.x, q.y, q.z, q.w] for p, q in parts]
    rows = np.array(numbers, np.float64).reshape(len(poses), 7)
    names, stamps = [p.header.frame_id or frame_id for p in poses], [stamp_to_ns(p.header.stamp) for p in poses]
    return PoseList(names, stamps, rows[:, :3], rows[:, 3:])


def bounded_goals(most: Callable[[], int]) -> Any:
    """Return the action ``GenerateViews`` whose server receives goals as :class:`BoundedGoal`.

    :param most: how many poses of a goal are read at most; asked for each goal.
    """
    check_for_type_support(GenerateViews)
    meta = type(_MESSAGE)
    ordinary = _to_python(_pointer_of(meta._CONVERT_TO_PY, None))

    def bounded(address: int) -> _Request:
        sequence = _Sequence.from_address(address + _POSES_AT)
        size, sequence.size = sequence.size, 0
        try:
            request = ordinary(address)  # all but the poses
        finally:
            sequence.size = size
        poses = _read_poses(sequence.data, min(size, most() + 1))
        goal = request.goal
        return _Request(request.goal_id, BoundedGoal(size, poses, goal.camera_info, int(goal.seed), goal.prompt))

    def careful(address: int) -> Any:
        return bounded(address) if as_expected else _converted(ordinary(address), most())

    as_expected = _is_laid_out_as_expected(bounded)
    function = _to_python(careful)

    class Support(type):
        _CREATE_ROS_MESSAGE = meta._CREATE_ROS_MESSAGE
        _CONVERT_FROM_PY = meta._CONVERT_FROM_PY
        _DESTROY_ROS_MESSAGE = meta._DESTROY_ROS_MESSAGE
        _TYPE_SUPPORT = meta._TYPE_SUPPORT
        _CONVERT_TO_PY = _capsule_of(ctypes.cast(function, ctypes.c_void_p), None, None)
        #: What the capsule points to lives as long as it.
        kept = function

    request = Support("Request", (), {})
    service = type(GenerateViews.Impl.SendGoalService)(
        "SendGoalService", (GenerateViews.Impl.SendGoalService,), {"Request": request}
    )
    implementation = type("Impl", (GenerateViews.Impl,), {"SendGoalService": service})
    return type(GenerateViews)("GenerateViews", (GenerateViews,), {"Impl": implementation})


def _converted(request: Any, most: int) -> _Request:
    return _Request(request.goal_id, bounded_goal(request.goal, most))


def _read_poses(address: int | None, count: int) -> PoseList:
    if not count:
        return PoseList([], [], np.empty((0, 3)), np.empty((0, 4)))
    assert address is not None, "there are poses"
    rows = np.frombuffer(ctypes.string_at(address, count * _POSE.itemsize), _POSE)
    texts = zip(rows["text"].tolist(), rows["length"].tolist(), strict=True)
    names = [ctypes.string_at(text, length).decode(errors="replace") for text, length in texts]
    stamps = (rows["s"].astype(np.int64) * 1_000_000_000 + rows["ns"]).tolist()
    return PoseList(names, stamps, rows["pose"][:, :3].copy(), rows["pose"][:, 3:].copy())


def _is_laid_out_as_expected(read: Callable[[int], _Request]) -> bool:
    """Return whether a goal that is written by rosidl is read as it was."""
    goal = GenerateViews.Goal(seed=-7)
    for number in range(3):
        orientation = Quaternion(x=0.1, y=0.2, z=0.3, w=number + 0.4)
        pose = Pose(position=Point(x=number + 0.5, y=0.6, z=0.7), orientation=orientation)
        goal.poses.append(PoseStamped(header=header("frame" * number, 10**9 * number + 8), pose=pose))
    message, meta = _MESSAGE(goal=goal), type(_MESSAGE)
    address = _create(_pointer_of(meta._CREATE_ROS_MESSAGE, None))()
    try:
        if not _from_python(_pointer_of(meta._CONVERT_FROM_PY, None))(message, address):
            return False
        # Before anything is followed: where the poses are said to be, and how many.
        sequence = _Sequence.from_address(address + _POSES_AT)
        if sequence.size != len(goal.poses) or sequence.capacity < sequence.size or not sequence.data:
            return False
        rows = np.frombuffer(ctypes.string_at(sequence.data, len(goal.poses) * _POSE.itemsize), _POSE)
        if rows["length"].tolist() != [len(p.header.frame_id) for p in goal.poses]:
            return False
        found, wanted = read(address).goal, bounded_goal(goal, len(goal.poses))
    finally:
        _destroy(_pointer_of(meta._DESTROY_ROS_MESSAGE, None))(address)
    return (
        (found.count, found.seed, found.poses.frame_ids, found.poses.stamps_ns)
        == (wanted.count, wanted.seed, wanted.poses.frame_ids, wanted.poses.stamps_ns)
        and np.array_equal(found.poses.positions, wanted.poses.positions)
        and np.array_equal(found.poses.quaternions_xyzw, wanted.poses.quaternions_xyzw)
    )
