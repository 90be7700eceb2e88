"""The client on a node of its caller's: tasks to await, poll and cancel, and blocking verbs beside the executor."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import rclpy
from rclpy.context import Context
from rclpy.executors import Executor, ExternalShutdownException, MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from vmem_ros.msg import Status

from harness import SLOW, CameraProcess, Probe, add_truth, pose_at, stamped
from slow_engine import STEPS
from vmem_ros.errors import CancelledError, DeadlockError, InvalidPoseError, NotReadyError, ParameterError
from vmem_ros.nodes.client import CameraClient, Feedback, Task
from vmem_ros.nodes.client import tasks as tasks_module
from vmem_ros.nodes.client import verbs as verbs_module
from waiting import WAIT_S, wait_until

SEED = pose_at(-1.0)
PATH = [pose_at(-0.9 + 0.1 * n, 0.2) for n in range(4)]
#: Drawn for ten seconds at least: what is asked for meanwhile comes meanwhile, however busy the machine is.
LONG = [pose_at(-0.9 + 0.005 * n, 0.1) for n in range(100)]


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraClient]:
    """A client of its own, of a camera that draws slowly."""
    with CameraProcess(tmp_path_factory.mktemp("tasks") / "log", {"engine": SLOW}), CameraClient() as client:
        client.wait_until_ready()
        yield client


@pytest.fixture(autouse=True)
def seeded(other: CameraClient) -> None:
    """The camera has seen the room once."""
    until_idle(other)
    other.reset()
    add_truth(other, SEED)


@pytest.fixture
def node() -> Iterator[Node]:
    """A planner's, in a namespace that is not the camera's."""
    context = Context()
    rclpy.init(context=context, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("planner", namespace="brain", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


class Spinning:
    """An executor that a thread spins."""

    def __init__(self, node: Node, kind: Callable[..., Executor] = SingleThreadedExecutor, **options: Any) -> None:
        self._executor = kind(context=node.context, **options)
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin)

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._thread.join()


def spin_until_done(node: Node, task: Task[Any]) -> Any:
    executor = SingleThreadedExecutor(context=node.context)
    rclpy.spin_until_future_complete(node, task, executor, timeout_sec=WAIT_S)
    executor.shutdown()
    return task.result()


def called_back(node: Node, callback: Callable[[], Any]) -> Any:
    """Return what a timer's callback returns, or raise its error here."""
    out: list[Any] = []

    async def keep() -> None:
        if out:
            return
        out.append(None)  # the timer may fire again meanwhile
        try:
            result = callback()
            out.append(await result if hasattr(result, "__await__") else result)
        except Exception as error:
            out.append(error)

    timer = node.create_timer(0.01, keep)
    result = wait_until(lambda: out[1:], "the callback")[0]
    node.destroy_timer(timer)
    if isinstance(result, Exception):
        raise result
    return result


def endpoints(node: Node) -> dict[str, int]:
    kinds = ("subscriptions", "publishers", "clients", "timers", "guards", "waitables")
    return {kind: len(list(getattr(node, kind))) for kind in kinds}


def until_idle(client: CameraClient) -> Status:
    return client.wait_for(lambda s: s.state == Status.STATE_IDLE and s.queued == 0)


class TestOnANodeThatAThreadSpins:
    @pytest.fixture(autouse=True)
    def client(self, node: Node) -> Iterator[CameraClient]:
        with Spinning(node), CameraClient(node=node) as client:
            client.wait_until_ready()
            yield client

    def test_blocking_verbs(self, client: CameraClient) -> None:
        heard: list[tuple[int, Feedback]] = []
        views = client.generate(PATH, on_feedback=lambda f: heard.append((threading.get_ident(), f)))
        assert [float(view.T_world_camera[0, 3]) for view in views] == pytest.approx([float(T[0, 3]) for T in PATH])
        assert {thread for thread, _ in heard} == {threading.get_ident()}
        assert {feedback.step for _, feedback in heard} >= set(range(1, STEPS + 1))
        assert client.render(PATH[0]).seen > 0.9
        assert client.latest() is views[-1]
        assert len(client.points()) > 100, "and not what was published before"

    def test_points_have_what_was_just_written_and_not_what_was_taken_back(self, client: CameraClient) -> None:
        """The node publishes them once a second: the cloud that comes first is one from before."""
        counts = [len(client.points())]
        for change in (
            lambda: add_truth(client, pose_at(-0.5, look=(-3.0, 0.0, 0.0))),
            client.undo,
            client.reset,
            lambda: add_truth(client, SEED),
            client.reset,
            lambda: (add_truth(client, SEED), client.generate(PATH)),
        ):
            change()
            counts.append(len(client.points()))
        seeded, observed, undone, emptied, seeded_again, emptied_again, generated = counts
        assert 0 < seeded < observed
        assert (undone, emptied, seeded_again, emptied_again) == (seeded, 0, seeded, 0)
        assert generated >= seeded

    def test_points_that_are_all_older_than_the_last_change(self, client: CameraClient) -> None:
        probe = Probe()
        probe.set_parameter("memory.publish_rate_hz", 0.01)
        client.reset()

        def told() -> str:
            with pytest.raises(NotReadyError) as error:
                client.points(timeout_s=1.0)
            return str(error.value)

        wait_until(lambda: "nothing newer than the last change of the world on /vmem/memory/surfels" in told(), "old")
        probe.set_parameter("memory.publish_rate_hz", 1.0)
        assert len(client.points()) == 0
        probe.close()

    def test_all_progress_is_heard_where_the_result_waits_with_it(self, client: CameraClient) -> None:
        heard: list[int] = []

        def slow(feedback: Feedback) -> None:
            heard.append(feedback.step)
            if feedback.step == 1:
                time.sleep(2.0)  # the others and the result come meanwhile

        task = client.generate_async(PATH[:2], on_feedback=slow)
        wait_until(task.done, "the end of the task")
        assert len(task.result()) == 2
        assert heard == list(range(1, STEPS + 1))

    def test_await_in_a_callback_of_rclpy(self, node: Node, client: CameraClient) -> None:
        async def look() -> tuple[float, float]:
            before = await client.render_async(PATH[1], images=False)
            view = await client.capture_async(stamped(PATH[1]))
            await client.undo_async()
            return before.seen, view.remembered

        seen, remembered = called_back(node, look)
        assert remembered == pytest.approx(seen, abs=0.05)

    def test_await_in_asyncio(self, client: CameraClient) -> None:
        async def look() -> list[float]:
            shown = await asyncio.gather(*(client.render_async(T, images=False) for T in LONG[::5]))
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.generate_async(LONG), timeout=0.3)
            return [rendering.seen for rendering in shown]

        assert min(asyncio.run(look())) > 0.5
        assert until_idle(client).stored_views < len(LONG)

    def test_errors_come_out_of_a_task(self, client: CameraClient) -> None:
        task = client.generate_async([])
        wait_until(task.done, "the end of the task")
        assert isinstance(task.exception(), InvalidPoseError)
        with pytest.raises(InvalidPoseError):
            task.result()
        assert not task.cancelled()

    def test_a_task_is_polled_and_cancelled(self, client: CameraClient) -> None:
        task = client.generate_async(LONG)
        with pytest.raises(NotReadyError, match="generate is not done"):
            task.result()
        wait_until(lambda: task.feedback and task.feedback.step > 1, "progress")
        assert task.feedback.views == len(LONG)
        assert not task.done()
        task.cancel()
        wait_until(task.done, "the end of the task")
        assert task.cancelled()
        with pytest.raises(CancelledError, match="generate was cancelled by its caller"):
            task.result()
        assert until_idle(client).stored_views < len(LONG)

    def test_a_callback_that_raises_cancels_the_request(self, client: CameraClient) -> None:
        def refuse(_: Feedback) -> None:
            raise ZeroDivisionError

        task = client.generate_async(LONG, on_feedback=refuse)
        wait_until(task.done, "the end of the task")
        assert isinstance(task.exception(), ZeroDivisionError)
        with pytest.raises(ZeroDivisionError):
            client.generate(LONG, on_feedback=refuse)
        assert until_idle(client).stored_views < len(LONG)

    @pytest.mark.parametrize(
        "block", [lambda c: c.render(SEED), lambda c: c.wait_for(lambda s: True), lambda c: c.points(timeout_s=1.0)]
    )
    def test_blocking_the_thread_that_spins_is_an_error(
        self, node: Node, client: CameraClient, block: Callable[[CameraClient], object]
    ) -> None:
        with pytest.raises(DeadlockError, match=r"await camera\.\w+_async"):
            called_back(node, lambda: block(client))

    def test_blocking_in_a_callback_of_a_task_is_an_error(self, client: CameraClient) -> None:
        task = client.generate_async(PATH, on_feedback=lambda _: client.pause(False))
        wait_until(task.done, "the end of the task")
        assert isinstance(task.exception(), DeadlockError)


def test_a_callback_closes_it(node: Node) -> None:
    with Spinning(node):
        client = CameraClient(node=node)
        client.wait_until_ready()
        task = client.generate_async(LONG)
        wait_until(lambda: task.feedback, "progress")
        called_back(node, client.close)
        assert task.cancelled()
        with pytest.raises(NotReadyError, match="closed"):
            client.render(SEED)


def test_closing_takes_what_was_made_and_leaves_the_node(node: Node, other: CameraClient) -> None:
    with Spinning(node):
        before = endpoints(node)
        client = CameraClient(node=node)
        client.wait_until_ready()
        task = client.generate_async(LONG)
        wait_until(lambda: task.feedback, "progress")
        client.close()
        client.close()
        assert endpoints(node) == before
        with pytest.raises(CancelledError, match="generate ended with its CameraClient"):
            task.result()
        assert called_back(node, lambda: "alive") == "alive"
        assert until_idle(other).stored_views < len(LONG), "the camera node was told, too"


def test_a_script_spins_until_a_task_is_done(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """And closing does not wait for somebody to spin the node."""
    with CameraClient(node=node) as client:
        assert spin_until_done(node, client.wait_until_ready_async()).seeded
        view = spin_until_done(node, client.capture_async(pose_at(-0.7)))
        assert view.image.shape == (72, 96, 3)
        spin_until_done(node, client.undo_async())
        monkeypatch.setattr(tasks_module, "_CLOSE_S", WAIT_S)
        began = time.monotonic()
    assert time.monotonic() - began < WAIT_S / 2


def test_callbacks_may_block_where_others_are_answered_beside_them(node: Node) -> None:
    with Spinning(node, MultiThreadedExecutor, num_threads=3), CameraClient(node=node) as client:
        client.wait_until_ready()
        assert called_back(node, lambda: client.render(SEED, images=False)).seen > 0.9


def test_a_node_that_nobody_spins(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verbs_module, "_NO_EXECUTOR_S", 0.5)
    with (
        CameraClient(node=node) as client,
        pytest.raises(NotReadyError, match=r"nobody has spun the node /brain/planner for 0\.5 s"),
    ):
        client.render(SEED)


def test_what_a_task_calls_cannot_close_the_client(other: CameraClient) -> None:
    task = other.generate_async(PATH, on_feedback=lambda _: other.close())
    wait_until(task.done, "the end of the task")
    assert isinstance(task.exception(), DeadlockError)


def test_time_is_the_nodes(node: Node) -> None:
    with pytest.raises(ParameterError, match="use_sim_time"):
        CameraClient(node=node, use_sim_time=True)
