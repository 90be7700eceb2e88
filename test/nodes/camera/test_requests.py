"""Services, the action and parameters across processes: answers, refusals, cancelling, life during a generation."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from action_msgs.msg import GoalStatus
from rcl_interfaces.srv import DescribeParameters, ListParameters
from rclpy.action import get_action_names_and_types
from vmem_ros.action import GenerateViews
from vmem_ros.msg import Status
from vmem_ros.srv import AddView, RenderView

from harness import CAMERA, SLOW, CameraProcess, Probe, add_truth, pose_at, psnr, seen_from, stamped
from slow_engine import STEPS
from vmem_ros.errors import (
    CancelledError,
    ErrorCode,
    FrameError,
    InvalidCameraError,
    InvalidImageError,
    InvalidPoseError,
    NothingToUndoError,
    NotSeededError,
    QueueFullError,
    WorldFileError,
)
from vmem_ros.geometry import Camera
from vmem_ros.messages.stamps import stamp_to_ns
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.topic_reader import TopicReader
from vmem_ros.nodes.interface.names import ACTIONS, NODE_NAME, SERVICES, SUBSCRIBED, message_type_name, qos_profile
from vmem_ros.nodes.interface.parameters import PARAMETERS
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header, image_to_message, map_to_message
from waiting import WAIT_S, wait_until

NODE = f"/vmem/{NODE_NAME}"
SEEDS = (pose_at(-1.0), pose_at(-0.5, 0.6))
NEW = pose_at(-0.8, 0.3)
LONG = [pose_at(-1.0, -0.55 + 0.1 * i) for i in range(10)]
#: Drawn for ten seconds at least: what is asked for meanwhile comes meanwhile, however busy the machine is.
ENDLESS = [pose_at(-1.0, -0.5 + 0.01 * i) for i in range(100)]
QUEUE = 3


@dataclass
class Setup:
    node: CameraProcess
    probe: Probe
    client: CameraClient


@pytest.fixture(scope="module")
def setup(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setup]:
    folder = tmp_path_factory.mktemp("requests")
    parameters = {"engine": SLOW, "world.root": folder / "worlds", "queue.max_length": QUEUE}
    with CameraProcess(folder / "log", parameters) as node, CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        yield Setup(node, probe, client)
        probe.close()


@pytest.fixture
def client(setup: Setup) -> Iterator[CameraClient]:
    """A client of a world with two observed views, at rest."""
    setup.client.reset()
    add_truth(setup.client, *SEEDS)
    yield setup.client
    setup.client.pause(False)
    setup.client.cancel()
    setup.client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.queued == 0)


@pytest.fixture
def empty(setup: Setup) -> CameraClient:
    setup.client.reset()
    return setup.client


class Background:
    """A request in a thread of its own."""

    def __init__(self, client: CameraClient, poses: list[torch.Tensor]) -> None:
        self.error: Exception | None = None
        self.views: list = []
        self.feedback: list = []
        self._thread = threading.Thread(target=self._run, args=(client, poses))
        self._thread.start()

    def _run(self, client: CameraClient, poses: list[torch.Tensor]) -> None:
        try:
            self.views = client.generate(poses, on_feedback=self.feedback.append)
        except Exception as error:
            self.error = error

    def begun(self) -> None:
        wait_until(lambda: self.feedback or self.error, "the first feedback")

    @property
    def runs(self) -> bool:
        return self._thread.is_alive()

    def done(self) -> None:
        self._thread.join(WAIT_S)
        assert not self.runs


class TestTable:
    def test_services(self, setup: Setup) -> None:
        for service in SERVICES.values():
            setup.probe.client(f"{NODE}/{service.name}", service.type)
            offered = dict(setup.probe.node.get_service_names_and_types())
            assert offered[f"{NODE}/{service.name}"] == [message_type_name(service.type)]

    def test_actions(self, setup: Setup) -> None:
        wanted = {f"{NODE}/{action.name}": [message_type_name(action.type)] for action in ACTIONS.values()}

        def offered() -> dict[str, list[str]]:
            found = dict(get_action_names_and_types(setup.probe.node))
            return {name: found[name] for name in wanted if name in found}

        wait_until(lambda: offered() == wanted, "the actions of the table", seen=offered)


class TestRender:
    def test_shows_memory_and_changes_nothing(self, client: CameraClient) -> None:
        rendering, truth = client.render(NEW, camera=CAMERA), seen_from(NEW)
        assert rendering.camera == CAMERA
        seen = rendering.confidence > 0
        assert rendering.seen == pytest.approx(seen.mean(), abs=1e-6)
        assert rendering.seen > 0.8
        assert psnr(rendering.image[seen], truth.image.numpy()[seen]) > 25
        assert np.isnan(rendering.depth[~seen]).all()
        assert rendering.nearest_depth_m == pytest.approx(np.nanmin(rendering.depth), rel=1e-6)
        assert rendering.mean_confidence == pytest.approx(rendering.confidence.mean(), abs=1e-5)
        assert client.status.stored_views == 2

    def test_figures_alone(self, client: CameraClient) -> None:
        away = client.render(pose_at(0.0, look=(-3.0, 0.0, 0.0)), images=False)
        there = client.render(NEW, images=False)
        assert away.image is None
        assert away.seen < 0.2 < 0.8 < there.seen

    def test_any_size_and_the_preview_by_default(self, client: CameraClient) -> None:
        wide = Camera.from_fov(200, 50, 120)
        assert client.render(NEW, camera=wide).image.shape == (50, 200, 3)
        assert client.render(NEW).camera == CAMERA.resized(48, 36)

    def test_before_seeding(self, empty: CameraClient) -> None:
        with pytest.raises(NotSeededError, match="seed/"):
            empty.render(NEW)

    def test_bad_requests(self, setup: Setup, client: CameraClient) -> None:
        render = setup.probe.client(f"{NODE}/render", RenderView)
        with pytest.raises(FrameError, match="'gripper'"):
            client.render(stamped(NEW, frame="gripper"))
        request = RenderView.Request(pose=stamped(NEW))
        request.pose.pose.orientation.x = 5.0
        response = setup.probe.call(render, request)
        assert response.error_code == ErrorCode.INVALID_POSE
        assert "normalise" in response.error_msg
        request = RenderView.Request(pose=stamped(NEW), camera_info=camera_to_message(CAMERA, header("", 0)))
        request.camera_info.k[0] = 0.0
        response = setup.probe.call(render, request)
        assert response.error_code == ErrorCode.INVALID_CAMERA_INFO
        assert "uncalibrated" in response.error_msg


class TestCommands:
    def test_add_view_checks_what_it_gets(self, setup: Setup, client: CameraClient) -> None:
        view = seen_from(NEW)
        add = setup.probe.client(f"{NODE}/add_view", AddView)
        head = header("", 0)

        def request() -> AddView.Request:
            return AddView.Request(
                image=image_to_message(view.image, head),
                camera_info=camera_to_message(CAMERA, head),
                pose=stamped(NEW),
                depth=map_to_message(view.depth, head),
            )

        def refused(bad: AddView.Request) -> tuple[int, str]:
            response = setup.probe.call(add, bad)
            return response.error_code, response.error_msg

        truncated = request()
        truncated.image.data = truncated.image.data[:-1]
        wrong_size = request()
        wrong_size.camera_info = camera_to_message(CAMERA.resized(48, 36), head)
        wrong_encoding = request()
        wrong_encoding.image.encoding = "yuv420p"
        no_depth = request()
        no_depth.depth.width = 0
        wrong_unit = request()
        wrong_unit.depth = map_to_message(view.depth * 1000, head)
        for bad, text in [
            (truncated, "truncated"),
            (wrong_size, "96 x 72 but its intrinsics are for 48 x 36"),
            (wrong_encoding, "colour images must be rgb8, "),
            (no_depth, "no usable depth"),
            (wrong_unit, "unit is probably wrong"),
        ]:
            code, message = refused(bad)
            assert (code, text in message) == (ErrorCode.INVALID_IMAGE, True), message
        uncalibrated = request()
        uncalibrated.camera_info.k[0] = 0.0
        assert refused(uncalibrated)[0] == ErrorCode.INVALID_CAMERA_INFO
        assert client.status.stored_views == 2
        assert setup.probe.call(add, request()).stored_views == 3

    def test_undo_takes_back_one_commit(self, client: CameraClient) -> None:
        before = client.render(NEW)
        client.generate([NEW, pose_at(-0.7, 0.2), pose_at(-0.6)])
        assert client.wait_for(lambda s: s.stored_views == 5)
        client.undo()
        assert client.wait_for(lambda s: s.stored_views == 2)
        np.testing.assert_array_equal(client.render(NEW).image, before.image)
        client.undo()
        client.undo()
        with pytest.raises(NothingToUndoError, match="0 are stored"):
            client.undo()

    def test_capture_before_seeding(self, empty: CameraClient) -> None:
        with pytest.raises(NotSeededError, match="seed it"):
            empty.capture()
        assert empty.wait_for(lambda s: s.error_code == ErrorCode.NOT_SEEDED).state == Status.STATE_IDLE

    def test_set_camera_until_parameters_are_set(self, setup: Setup, client: CameraClient) -> None:
        odd = Camera(torch.tensor([[60.0, 0, 30], [0, 50, 21], [0, 0, 1]]), 64, 40)
        client.set_camera(odd)
        assert client.capture(NEW).camera == odd
        setup.probe.set_parameter("camera.width", 96)
        assert client.capture(NEW).camera == CAMERA

    def test_bad_camera_info_changes_nothing(self, setup: Setup, client: CameraClient) -> None:
        from sensor_msgs.srv import SetCameraInfo

        service = setup.probe.client(f"{NODE}/set_camera_info", SetCameraInfo)
        response = setup.probe.call(service, SetCameraInfo.Request())
        assert not response.success
        assert response.status_message.startswith("INVALID_CAMERA_INFO: ")
        assert client.capture(NEW).camera == CAMERA


class TestFiles:
    def test_save_reset_load(self, client: CameraClient) -> None:
        view = client.capture(NEW)
        saved = client.save("houses/first")
        assert saved.stored_views == 3
        assert Path(saved.path).is_relative_to(Path(saved.path).anchor)
        client.reset()
        assert client.load("houses/first") == saved
        again = client.capture(NEW)
        assert again.reused
        np.testing.assert_array_equal(again.image, view.image)
        with pytest.raises(WorldFileError, match="exists"):
            client.save("houses/first")
        client.save(f"file://{saved.path}", overwrite=True)

    @pytest.mark.parametrize("url", ["../escape", "/etc/passwd", "http://example.org/w", "missing", "file:///tmp/w"])
    def test_bad_places_change_nothing(self, client: CameraClient, url: str) -> None:
        with pytest.raises(WorldFileError):
            client.load(url)
        if url != "missing":
            with pytest.raises(WorldFileError):
                client.save(url)
        assert client.render(NEW, images=False).seen > 0.8

    def test_truncated_file_changes_nothing(self, client: CameraClient) -> None:
        path = Path(client.save("cut", overwrite=True).path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(WorldFileError, match=r"complete world file|damaged"):
            client.load("cut")
        assert client.render(NEW, images=False).seen > 0.8


class TestGenerate:
    def test_feedback_and_result(self, client: CameraClient) -> None:
        feedback: list = []
        views = client.generate([NEW, pose_at(-0.7, 0.2), pose_at(-0.6)], seed=5, on_feedback=feedback.append)
        assert [(f.view, f.step) for f in feedback] == [(v, s) for v in (1, 3) for s in range(1, STEPS + 1)]
        assert {(f.views, f.steps) for f in feedback} == {(3, STEPS)}
        assert all(f.eta_s >= 0 for f in feedback)
        assert feedback[-1].eta_s == 0
        assert len(views) == 3
        assert all(v.remembered > 0.5 for v in views)

    def test_raw_result_carries_stamps(self, setup: Setup, client: CameraClient) -> None:
        action = setup.probe.action(f"{NODE}/generate", GenerateViews)
        poses = [stamped(NEW, stamp_ns=5_000_000_007), stamped(pose_at(-0.7))]
        accepted = action.send_goal_async(GenerateViews.Goal(poses=poses))
        wait_until(accepted.done, "acceptance")
        future = accepted.result().get_result_async()
        wait_until(future.done, "the result")
        result = future.result().result
        assert future.result().status == GoalStatus.STATUS_SUCCEEDED
        assert (result.error_code, result.generated, len(result.remembered)) == (ErrorCode.NONE, 2, 2)
        assert stamp_to_ns(result.stamps[0]) == 5_000_000_007
        assert stamp_to_ns(result.stamps[1]) > 1_000_000_000_000
        assert result.seconds > 0
        action.destroy()

    @pytest.mark.parametrize("code", ["no poses", "not finite", "frame", "camera"])
    def test_bad_goals_say_why(self, client: CameraClient, code: str) -> None:
        message = stamped(NEW)
        camera = None
        if code == "no poses":
            with pytest.raises(InvalidPoseError, match="at least one"):
                client.generate([])
            return
        if code == "not finite":
            message.pose.position.z = float("inf")
            expected, text = InvalidPoseError, "pose 2 of 2: .*not finite"
        elif code == "frame":
            message.header.frame_id = "nowhere"
            expected, text = FrameError, "pose 2 of 2: .*'nowhere'"
        else:
            camera = CAMERA.resized(96, 72)
            object.__setattr__(camera, "K", torch.diag(torch.tensor([1e9, 1e9, 1.0])).double())
            expected, text = InvalidCameraError, "no usable lens"
        with pytest.raises(expected, match=text):
            client.generate([NEW, message], camera=camera)
        assert client.status.stored_views == 2

    def test_before_seeding(self, empty: CameraClient) -> None:
        with pytest.raises(NotSeededError):
            empty.capture(NEW)

    def test_cancel_takes_effect_and_drops_what_is_not_committed(self, client: CameraClient) -> None:
        request = Background(client, ENDLESS)
        wait_until(lambda: any(f.view == 3 for f in request.feedback), "the second chunk")
        client.cancel()
        request.done()
        assert isinstance(request.error, CancelledError)
        stored = client.wait_for(lambda s: s.state == Status.STATE_IDLE).stored_views
        # Between two steps of the chunk in work, of which nothing is stored, or after its last step.
        in_work = request.feedback[-1].view
        assert 3 <= in_work < len(ENDLESS) - 1
        assert stored - len(SEEDS) in (in_work - 1, in_work + 1)
        client.undo()
        client.wait_for(lambda s: s.stored_views == 2)

    def test_cancel_before_it_begins(self, client: CameraClient) -> None:
        running = Background(client, ENDLESS)
        running.begun()
        waiting = Background(client, LONG)
        client.wait_for(lambda s: s.queued == 1)
        client.cancel()
        running.done()
        waiting.done()
        assert isinstance(running.error, CancelledError)
        assert isinstance(waiting.error, CancelledError)

    def test_one_that_waits_while_generation_is_held(self, client: CameraClient) -> None:
        client.pause()
        waiting = Background(client, LONG)
        client.wait_for(lambda s: s.queued == 1)
        client.cancel()
        waiting.done()
        assert isinstance(waiting.error, CancelledError)
        client.wait_for(lambda s: s.state == Status.STATE_PAUSED and s.queued == 0)

    def test_error_in_feedback_cancels(self, client: CameraClient) -> None:
        def fail(_: object) -> None:
            raise RuntimeError("enough")

        with pytest.raises(RuntimeError, match="enough"):
            client.generate(ENDLESS, on_feedback=fail)
        status = client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.error_code == ErrorCode.CANCELLED)
        assert status.stored_views < 2 + len(ENDLESS)

    def test_full_queue(self, client: CameraClient) -> None:
        requests = [Background(client, ENDLESS[:20])]
        requests[0].begun()
        client.pause()  # so that none of them makes room for another
        requests += [Background(client, [pose_at(-0.9, 0.1 * n)]) for n in range(QUEUE)]
        client.wait_for(lambda s: s.queued == QUEUE)
        with pytest.raises(QueueFullError, match=r"3 requests wait, the most that queue\.max_length allows"):
            client.capture(NEW)
        client.pause(False)
        for request in requests:
            request.done()
            assert request.error is None
        client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.stored_views == 2 + 20 + QUEUE)

    def test_pause_holds_and_continues(self, client: CameraClient) -> None:
        poses = ENDLESS[:30]
        request = Background(client, poses)
        request.begun()
        client.pause()
        client.wait_for(lambda s: s.state == Status.STATE_PAUSED and s.stored_views > 2)
        saved = client.save("while_paused", overwrite=True)
        assert client.render(NEW, images=False).seen > 0.8
        assert 2 < saved.stored_views < 2 + len(poses)
        held = (saved.stored_views - 2) // 2 * STEPS  # it holds between two chunks, of two views each
        wait_until(lambda: len(request.feedback) >= held, "the end of the chunk")
        for _ in range(3):
            client.render(NEW)
        assert len(request.feedback) == held
        client.pause(False)
        request.done()
        assert request.error is None
        assert len(request.views) == len(poses)


class TestWhileGenerating:
    def test_everything_is_answered(self, setup: Setup, client: CameraClient) -> None:
        """Status, previews, renderings and parameters, all between the first step and the last."""
        from sensor_msgs.msg import Image

        previews = setup.probe.listen("preview/image_raw", Image, qos_profile("stream"))
        path = [pose_at(-1.0, -0.5 + 0.002 * i) for i in range(500)]
        request = Background(client, path)
        request.begun()
        status = client.wait_for(lambda s: s.state == Status.STATE_GENERATING and s.views == len(path))
        assert status.steps == STEPS
        shown = len(previews.messages)
        assert client.render(NEW).seen > 0.8
        setup.probe.set_parameter("points.stride", 3)
        wait_until(lambda: len(previews.messages) >= shown + 3, "three previews")
        view = seen_from(pose_at(0.0, -0.5))
        client.add_view(view.image.numpy(), CAMERA, pose_at(0.0, -0.5), depth=view.depth.numpy())
        assert request.runs
        assert request.feedback[-1].view < len(path)
        client.cancel()
        request.done()
        assert client.wait_for(lambda s: s.state == Status.STATE_IDLE).stored_views > 3

    @pytest.mark.parametrize("how", ["undo", "reset", "load"])
    def test_taking_its_views_back_ends_it(self, setup: Setup, client: CameraClient, how: str) -> None:
        """And it says how many of its views are left, rather than to go on in another world as if nothing was."""
        client.save("before", overwrite=True)
        action = setup.probe.action(f"{NODE}/generate", GenerateViews)
        accepted = action.send_goal_async(GenerateViews.Goal(poses=[stamped(T) for T in ENDLESS]))
        client.wait_for(lambda s: s.stored_views >= 4)
        getattr(client, how)(*(["before"] if how == "load" else []))
        future = wait_until(accepted.result, "acceptance").get_result_async()
        wait_until(future.done, "the result")
        result = future.result().result
        assert future.result().status == GoalStatus.STATUS_ABORTED
        assert (result.error_code, result.generated, len(result.stamps)) == (ErrorCode.CANCELLED, 0, 0)
        assert "taken back" in result.error_msg
        left = 0 if how == "reset" else 2
        assert client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.stored_views == left)
        action.destroy()

    def test_taking_others_views_back_does_not_end_it(self, client: CameraClient) -> None:
        poses = ENDLESS[:30]
        request = Background(client, poses)
        client.wait_for(lambda s: s.stored_views >= 4)
        client.pause()
        add_truth(client, pose_at(0.0, -0.5))  # answered between two chunks, where the request is held from now on
        assert request.runs
        client.undo()
        client.pause(False)
        request.done()
        assert request.error is None
        client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.stored_views == 2 + len(poses))

    def test_the_camera_moves(self, client: CameraClient) -> None:
        request = Background(client, LONG[:6])
        request.begun()
        client.move_to(NEW)
        wait_until(lambda: torch.allclose(client.capture().T_world_camera, NEW), "a view from the newest pose")
        request.done()


class TestParameters:
    def test_every_row_is_declared_and_described(self, setup: Setup) -> None:
        names = setup.probe.call(
            setup.probe.client(f"{NODE}/list_parameters", ListParameters), ListParameters.Request()
        )
        assert set(PARAMETERS) <= set(names.result.names)
        describe = setup.probe.client(f"{NODE}/describe_parameters", DescribeParameters)
        answer = setup.probe.call(describe, DescribeParameters.Request(names=list(PARAMETERS)))
        for descriptor in answer.descriptors:
            row = PARAMETERS[descriptor.name]
            assert descriptor.description == row.description
            assert descriptor.read_only == row.read_only

    def test_qos_can_be_overridden(self, setup: Setup) -> None:
        names = setup.probe.call(
            setup.probe.client(f"{NODE}/list_parameters", ListParameters), ListParameters.Request()
        )
        assert "qos_overrides./vmem/camera/image_raw.publisher.reliability" in names.result.names
        assert "qos_overrides./vmem/seed/image.subscription.reliability" in names.result.names

    @pytest.mark.parametrize(
        ("name", "value", "texts"),
        [
            ("preview.rate_hz", 1000.0, ["preview.rate_hz", "60", "1000"]),
            ("preview.rate_hz", float("nan"), ["preview.rate_hz", "60", "nan"]),
            ("camera.width", 5, ["camera.width", "16", "5"]),
            ("camera.width", "wide", ["expected", "INTEGER", "STRING"]),
            ("engine", "other", ["read-only", "engine"]),
            ("stamp_policy", "never", ["'never'", "'request', 'publish'", "default 'request'"]),
            ("follow_frame", "vmem_link", ["the camera itself", "frame_prefix"]),
        ],
    )
    def test_rejections_say_why(self, setup: Setup, name: str, value: object, texts: list[str]) -> None:
        result = setup.probe.try_parameter(name, value)
        assert not result.successful
        for text in texts:
            assert text in result.reason

    def test_values_that_do_not_fit_together(self, setup: Setup, client: CameraClient) -> None:
        setup.probe.set_parameter("camera.fov_deg", 140.0)
        setup.probe.set_parameter("camera.width", 16)
        result = setup.probe.try_parameter("camera.height", 4096)
        assert result.reason.startswith("camera.width, camera.height and camera.fov_deg do not make a camera")
        setup.probe.set_parameter("camera.width", 96)
        setup.probe.set_parameter("camera.fov_deg", 80.0)
        assert client.capture(NEW).camera == CAMERA

    def test_stamp_policy(self, setup: Setup, client: CameraClient) -> None:
        setup.probe.set_parameter("stamp_policy", "publish")
        before = time.time_ns()
        view = client.capture(stamped(NEW, stamp_ns=77))
        setup.probe.set_parameter("stamp_policy", "request")
        assert before < view.stamp_ns < time.time_ns()

    def test_pose_height(self, setup: Setup, client: CameraClient) -> None:
        setup.probe.set_parameter("pose_height_m", 0.4)
        client.move_to(pose_at(-1.0, look=(3.0, 0.0, 0.0)))
        wait_until(lambda: float(client.capture().T_world_camera[2, 3]) == pytest.approx(0.4), "the raised pose")
        setup.probe.set_parameter("pose_height_m", 0.0)


class TestClient:
    def test_ten_lines_suffice(self, client: CameraClient) -> None:
        candidates = [pose_at(-0.8, y) for y in (-0.3, 0.3)]
        best = max(candidates, key=lambda T: client.render(T, images=False).seen)
        view = client.capture(best)
        assert view.image.shape == (72, 96, 3)
        assert client.latest().stamp_ns == view.stamp_ns

    def test_calls_from_callbacks_do_not_deadlock(self, setup: Setup, client: CameraClient) -> None:
        """In a callback of a node whose executor would have to spin for a blocking call of its own client."""
        answers: list = []
        timer = setup.probe.node.create_timer(0.01, lambda: answers.append(client.render(NEW)))
        wait_until(lambda: answers, "an answer inside a callback")
        setup.probe.node.destroy_timer(timer)
        client.generate([NEW], on_feedback=lambda _: answers.append(client.render(NEW, images=False)))

    def test_its_own_thread_is_refused(self, client: CameraClient) -> None:
        errors: list = []

        def call() -> None:
            try:
                client.render(NEW)
            except RuntimeError as error:
                errors.append(str(error))

        client._spinning.executor.create_task(call)
        client._spinning.executor.wake()
        wait_until(lambda: errors, "the refusal")
        assert "render would wait for the thread that calls it" in errors[0]

    def test_no_node(self) -> None:
        from vmem_ros.errors import NotReadyError

        with CameraClient("nobody_there") as client, pytest.raises(NotReadyError, match="is the node running"):
            client.wait_until_ready(timeout_s=0.5)

    def test_arguments_of_the_process_are_not_those_of_its_client(
        self, client: CameraClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A launch file gives its planner a namespace, a name and remaps."""
        words = ["__ns:=/elsewhere", "__node:=planner", "vmem_camera/status:=status", "memory/path:=path"]
        monkeypatch.setattr(sys, "argv", ["planner", "--ros-args", *(part for word in words for part in ("-r", word))])
        with CameraClient() as other:
            assert other.wait_until_ready(timeout_s=WAIT_S).stored_views == len(SEEDS)
        with TopicReader("memory/path") as reader:
            reader.wait_for("memory/path", lambda path: len(path.poses) == len(SEEDS), timeout_s=WAIT_S)

    def test_wrong_images_are_refused(self, client: CameraClient) -> None:
        with pytest.raises(InvalidImageError):
            client.add_view(np.zeros((72, 90, 3), np.uint8), CAMERA, NEW, depth=np.ones((72, 96), np.float32))

    def test_two_clients_do_not_mix(self, client: CameraClient) -> None:
        with CameraClient() as other:
            other.wait_until_ready()
            mine, theirs = Background(client, LONG[:3]), Background(other, LONG[3:6])
            mine.done()
            theirs.done()
        for request, poses in ((mine, LONG[:3]), (theirs, LONG[3:6])):
            assert request.error is None
            for view, T in zip(request.views, poses, strict=True):
                torch.testing.assert_close(view.T_world_camera, T, rtol=0, atol=1e-9)


def test_pose_subscription_is_the_latest_only() -> None:
    assert qos_profile(SUBSCRIBED["pose"].qos).depth == 1
