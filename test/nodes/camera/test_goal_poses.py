"""Goals as the node takes them, sent over DDS by an ordinary client."""

from __future__ import annotations

import numpy as np
import pytest
import rclpy
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from rclpy.action import ActionServer
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from vmem_ros.action import GenerateViews

from harness import CAMERA
from vmem_ros.nodes.camera import goal_poses
from vmem_ros.nodes.camera.goal_poses import BoundedGoal, bounded_goal, bounded_goals
from vmem_ros.nodes.client.action_client import ThreadSafeActionClient
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header
from waiting import WAIT_S

FRAMES = ("", "map", "odom", "a_frame_with_a_long_name_that_no_small_string_holds", "ä")


def goal_of(count: int) -> GenerateViews.Goal:
    poses = [
        PoseStamped(
            header=header(FRAMES[number % len(FRAMES)], 10**9 * number + 5),
            pose=Pose(
                position=Point(x=0.1 * number, y=1.0, z=-2.0), orientation=Quaternion(x=0.0, y=0.6, z=0.0, w=0.8)
            ),
        )
        for number in range(count)
    ]
    return GenerateViews.Goal(
        poses=poses, camera_info=camera_to_message(CAMERA, header("lens", 3)), seed=2**40, prompt="a röd room"
    )


def received(goal: GenerateViews.Goal, most: int) -> BoundedGoal:
    """Return what a server receives of a goal."""
    context = rclpy.Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("goals", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    found: list[BoundedGoal] = []

    def execute(handle: object) -> GenerateViews.Result:
        found.append(handle.request)
        handle.succeed()
        return GenerateViews.Result(generated=7)

    server = ActionServer(node, bounded_goals(lambda: most), "generate", execute)
    client = ThreadSafeActionClient(node, GenerateViews, "generate")
    try:
        assert client.wait_for_server(timeout_sec=WAIT_S)
        sent = client.send_goal_async(goal)
        executor.spin_until_future_complete(sent, timeout_sec=WAIT_S)
        result = sent.result().get_result_async()
        executor.spin_until_future_complete(result, timeout_sec=WAIT_S)
        assert result.result().result.generated == 7
    finally:
        client.destroy()
        server.destroy()
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
    return found[0]


def check(found: BoundedGoal, goal: GenerateViews.Goal, most: int) -> None:
    wanted = bounded_goal(goal, most)
    assert (found.count, found.seed, found.camera_info) == (len(goal.poses), goal.seed, goal.camera_info)
    assert found.prompt == goal.prompt
    assert found.poses.frame_ids == wanted.poses.frame_ids
    assert found.poses.stamps_ns == wanted.poses.stamps_ns
    np.testing.assert_array_equal(found.poses.positions, wanted.poses.positions)
    np.testing.assert_array_equal(found.poses.quaternions_xyzw, wanted.poses.quaternions_xyzw)


@pytest.mark.ros
class TestGoals:
    @pytest.mark.parametrize("count", [0, 1, 7, 500])
    def test_arrive_as_they_were_sent_without_objects(self, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
        monkeypatch.setattr(goal_poses, "_converted", None)
        check(received(goal_of(count), 1000), goal_of(count), 1000)

    def test_of_too_many_some_are_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(goal_poses, "_converted", None)
        found = received(goal_of(50), 10)
        check(found, goal_of(50), 10)
        assert (found.count, len(found.poses)) == (50, 11)

    def test_arrive_where_structures_are_laid_out_in_another_way(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(goal_poses, "_POSES_AT", 24)
        check(received(goal_of(7), 1000), goal_of(7), 1000)
