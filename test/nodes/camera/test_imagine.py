"""~/imagine across processes: what comes back, the world that stays, life meanwhile, cancelling, refusals."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from action_msgs.msg import GoalStatus
from nav_msgs.msg import Path as PathMessage
from rclpy.qos import QoSProfile
from safetensors import safe_open
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vmem_ros.action import ImaginePaths
from vmem_ros.msg import ImaginedView
from vmem_ros.srv import RenderView

from harness import CAMERA, SLOW, CameraProcess, Inbox, Probe, add_truth, pose_at, stamped
from vmem_ros.errors import ErrorCode, InvalidPoseError
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.messages.transforms import link_from_camera, pose_from_message
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.action_client import ThreadSafeActionClient
from vmem_ros.nodes.interface.names import NODE_NAME, qos_profile
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header
from waiting import wait_until

NODE = f"/vmem/{NODE_NAME}"
SEEDS = (pose_at(-1.0), pose_at(-0.5, 0.6))
#: Five ways of four steps: ahead, to both sides, and back.
WAYS = [[pose_at(-1.0 + 0.1 * dx * i, 0.1 * dy * i) for i in range(4)] for dx, dy in
        ((1, 0), (1, 1), (1, -1), (0, 1), (-1, 0))]  # fmt: skip
VIEWS = sum(map(len, WAYS))
#: Imagined long enough to do something meanwhile.
MANY_WAYS = WAYS * 3


@dataclass
class Setup:
    probe: Probe
    client: CameraClient
    action: ThreadSafeActionClient
    views: Inbox
    previews: Inbox


@pytest.fixture(scope="module", params=[(SLOW, 2, 0), ("vmem", 4, 8)], ids=["one after another", "together"])
def setup(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    """An engine that draws one path after another, in two chunks, and one that draws all of them in one batch, in
    several steps so that there is something between them."""
    folder = tmp_path_factory.mktemp("imagine")
    engine, chunk, steps = request.param
    sampling = {"sampling.steps": steps} if steps else {}
    parameters = sampling | {"engine": engine, "camera.chunk": chunk, "world.root": folder / "worlds", "camera.seed": 3}
    with CameraProcess(folder / "log", parameters), CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        action = probe.action(f"{NODE}/imagine", ImaginePaths)
        views = probe.listen("imagined/view", ImaginedView, QoSProfile(depth=100))  # a batch of views comes at once
        previews = probe.listen("preview/image_raw", Image, qos_profile("stream"))
        client.reset()
        add_truth(client, *SEEDS)
        yield Setup(probe, client, action, views, previews)
        action.destroy()
        probe.close()


def goal_of(ways: list[list[torch.Tensor]], **fields: object) -> ImaginePaths.Goal:
    paths = [PathMessage(header=header("map", 0), poses=[stamped(T, frame="") for T in way]) for way in ways]
    return ImaginePaths.Goal(paths=paths, **fields)


@dataclass
class Run:
    """A goal that was sent."""

    handle: object
    feedback: list[ImaginePaths.Feedback]

    def outcome(self) -> tuple[int, ImaginePaths.Result]:
        future = self.handle.get_result_async()
        wait_until(future.done, "the result")
        return future.result().status, future.result().result


def send(setup: Setup, goal: ImaginePaths.Goal) -> Run:
    feedback: list = []
    accepted = setup.action.send_goal_async(goal, feedback_callback=lambda message: feedback.append(message.feedback))
    wait_until(accepted.done, "acceptance")
    return Run(accepted.result(), feedback)


def state_of(setup: Setup) -> str:
    """Return the hash of all that the node would save of its world, which stands in the file."""
    with safe_open(setup.client.save("state", overwrite=True).path, framework="pt") as file:
        return file.metadata()["sha256"]


def test_five_paths_of_four_views_while_previews_go_on(setup: Setup) -> None:
    before = state_of(setup)
    assert state_of(setup) == before, "equal worlds have equal hashes"
    setup.views.messages.clear()
    seen = len(setup.previews.messages)
    run = send(setup, goal_of(WAYS, camera_info=camera_to_message(CAMERA, header("", 0))))
    wait_until(lambda: run.feedback, "the first feedback")
    render = setup.probe.client(f"{NODE}/render", RenderView)
    answered = setup.probe.call(render, RenderView.Request(pose=stamped(WAYS[0][1]), skip_images=True))
    assert answered.error_code == ErrorCode.NONE
    assert setup.client.status.stored_views == len(SEEDS)
    status, result = run.outcome()
    assert (status, result.error_code) == (GoalStatus.STATUS_SUCCEEDED, ErrorCode.NONE), result.error_msg
    assert len(setup.previews.messages) > seen
    assert state_of(setup) == before
    assert setup.client.status.stored_views == len(SEEDS)

    wait_until(lambda: len(setup.views.messages) == VIEWS, "all views", seen=lambda: len(setup.views.messages))
    numbers = [(message.path, message.view) for message in setup.views.messages]
    assert sorted(numbers) == [(path, view) for path in range(5) for view in range(4)]
    goal_id = bytes(run.handle.goal_id.uuid)
    for message in setup.views.messages:
        assert bytes(message.goal_id) == goal_id
        expected = link_from_camera(WAYS[message.path][message.view])
        assert torch.allclose(pose_from_message(message.pose), expected, atol=1e-9)
        assert message.header.frame_id == "map"
        assert stamp_to_ns(message.header.stamp) == stamp_to_ns(message.image.header.stamp) > 0
        for picture, encoding in ((message.image, "rgb8"), (message.depth, "32FC1"), (message.confidence, "32FC1")):
            assert (picture.width, picture.height, picture.encoding) == (CAMERA.width, CAMERA.height, encoding)
        of_result = result.paths[message.path].views[message.view]
        assert not len(of_result.image.data)
        for name in ("remembered", "mean_confidence", "nearest_depth"):
            assert getattr(of_result, name) == getattr(message, name)
        confidence = np.frombuffer(bytes(message.confidence.data), np.float32)
        assert message.mean_confidence == pytest.approx(confidence.mean(), abs=1e-5)
        depth = np.frombuffer(bytes(message.depth.data), np.float32)
        assert message.nearest_depth == pytest.approx(depth[np.isfinite(depth)].min())
    for path in result.paths:
        assert path.remembered == pytest.approx(np.mean([view.remembered for view in path.views]))
        assert path.nearest_depth == min(view.nearest_depth for view in path.views)
    generative = setup.client.status.engine == "vmem"
    assert all(math.isnan(path.disagreement) != generative for path in result.paths)
    assert run.feedback[-1].views == VIEWS
    assert run.feedback[-1].eta_s == 0
    assert [f.view for f in run.feedback] == sorted(f.view for f in run.feedback)


def test_pictures_in_the_result(setup: Setup) -> None:
    status, result = send(setup, goal_of(WAYS[:1], images=True, one_seed=True, seed=1)).outcome()
    assert status == GoalStatus.STATUS_SUCCEEDED
    (path,) = result.paths
    assert math.isnan(path.disagreement)
    assert all(len(view.image.data) == 3 * CAMERA.width * CAMERA.height for view in path.views)
    again = send(setup, goal_of(WAYS[:1], images=True, one_seed=True, seed=1)).outcome()[1]
    assert [v.image.data for v in again.paths[0].views] == [v.image.data for v in path.views]
    generated = setup.client.generate(WAYS[0], seed=1)
    setup.client.undo()
    for view, other in zip(path.views, generated, strict=True):
        np.testing.assert_array_equal(np.frombuffer(bytes(view.image.data), np.uint8), other.image.ravel())


def test_cancelled_between_steps(setup: Setup) -> None:
    before = state_of(setup)
    run = send(setup, goal_of(MANY_WAYS))
    wait_until(lambda: run.feedback, "the first feedback")
    run.handle.cancel_goal_async()
    status, result = run.outcome()
    assert (status, result.error_code) == (GoalStatus.STATUS_CANCELED, ErrorCode.CANCELLED)
    last = run.feedback[-1]
    assert (last.view, last.step) < (3 * VIEWS, last.steps)
    assert sum(len(path.views) for path in result.paths) < 3 * VIEWS
    assert state_of(setup) == before
    wait_until(lambda: setup.client.status.queued == 0, "an empty queue")


def test_commands_meanwhile_do_not_wait_for_the_end(setup: Setup) -> None:
    """The paths are imagined from the world as it was; what a command does to it stays."""
    if setup.client.status.engine == "vmem":
        pytest.skip("there is one batch, and commands are done after it")
    expected = send(setup, goal_of(WAYS, seed=1)).outcome()[1]
    undo = setup.probe.client(f"{NODE}/undo", Trigger)
    run = send(setup, goal_of(MANY_WAYS, seed=1))
    wait_until(lambda: run.feedback, "the first feedback")
    undone = setup.probe.call(undo, Trigger.Request())
    assert undone.success
    assert run.feedback[-1].eta_s > 0
    status, result = run.outcome()
    assert status == GoalStatus.STATUS_SUCCEEDED
    assert [p.remembered for p in result.paths] == [p.remembered for p in expected.paths] * 3
    assert setup.client.wait_for(lambda s: s.stored_views == len(SEEDS) - 1)
    add_truth(setup.client, SEEDS[1])


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ("no paths", ErrorCode.INVALID_POSE, "no paths: send at least one"),
        ("no poses", ErrorCode.INVALID_POSE, "path 2 of 5 has no poses"),
        ("not finite", ErrorCode.INVALID_POSE, "path 3 of 5: pose 2 of 4: "),
        ("frame", ErrorCode.TF_ERROR, "path 3 of 5: pose 2 of 4: .*'nowhere'"),
        ("camera", ErrorCode.INVALID_CAMERA_INFO, "uncalibrated"),
        ("too many views", ErrorCode.INVALID_POSE, "205 poses in 6 paths, imagine.max_views is 200"),
        ("too many pictures", ErrorCode.INVALID_POSE, "imagine.max_result_pixels is 4,194,304"),
        ("prompt", ErrorCode.MODEL_ERROR, "uses no prompt"),
    ],
)
def test_bad_goals_say_why(setup: Setup, change: str, code: ErrorCode, text: str) -> None:
    goal = goal_of(WAYS)
    if change == "no paths":
        goal.paths = []
    elif change == "no poses":
        goal.paths[1].poses = []
    elif change == "not finite":
        goal.paths[2].poses[1].pose.position.x = math.nan
    elif change == "frame":
        goal.paths[2].poses[1].header.frame_id = "nowhere"
    elif change == "camera":
        goal.camera_info = camera_to_message(CAMERA, header("", 0))
        goal.camera_info.k[0] = 0.0
    elif change == "too many views":
        goal.paths.append(PathMessage(header=header("map", 0), poses=[stamped(SEEDS[0])] * 185))
    elif change == "too many pictures":
        goal.images, goal.camera_info = True, camera_to_message(CAMERA.resized(960, 720), header("", 0))
    else:
        goal.prompt = "a garden"
    before = state_of(setup)
    status, result = send(setup, goal).outcome()
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, code), result.error_msg
    assert re.search(text, result.error_msg), result.error_msg
    assert state_of(setup) == before


def test_the_clients_verb(setup: Setup) -> None:
    feedback: list = []
    paths = setup.client.imagine(WAYS[:2], camera=CAMERA, seed=1, images=True, on_feedback=feedback.append)
    assert feedback[-1].views == 8
    result = send(setup, goal_of(WAYS[:2], camera_info=camera_to_message(CAMERA, header("", 0)), seed=1)).outcome()[1]
    for way, path, message in zip(WAYS, paths, result.paths, strict=False):
        assert (path.remembered, path.nearest_depth_m) == (message.remembered, message.nearest_depth)
        assert math.isnan(path.disagreement) == math.isnan(message.disagreement)
        for T, view in zip(way, path.views, strict=True):
            assert torch.allclose(view.T_world_camera, T, atol=1e-9)
            assert view.image.shape == (*CAMERA.size, 3)
            assert view.nearest_depth_m == np.nanmin(view.depth)
            assert view.mean_confidence == pytest.approx(view.confidence.mean(), abs=1e-5)
    (path,) = setup.client.imagine(WAYS[:1], two_seeds=False)
    assert path.views[0].image is None
    with pytest.raises(InvalidPoseError, match="path 1 of 1 has no poses"):
        setup.client.imagine([[]])


def test_held_while_paused(setup: Setup) -> None:
    setup.client.pause(True)
    run = send(setup, goal_of(WAYS[:1], one_seed=True))
    setup.client.wait_for(lambda s: s.queued == 1)
    assert not run.feedback
    setup.client.pause(False)
    assert run.outcome()[0] == GoalStatus.STATUS_SUCCEEDED


def test_before_seeding(setup: Setup) -> None:
    setup.client.reset()
    status, result = send(setup, goal_of(WAYS)).outcome()
    assert (status, result.error_code) == (GoalStatus.STATUS_ABORTED, ErrorCode.NOT_SEEDED)
