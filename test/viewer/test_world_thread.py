"""The thread that owns a world: what goes first, what is refused, how it ends."""

import threading

import pytest

from vmem_ros.errors import CancelledError, QueueFullError
from vmem_ros.viewer.world_thread import WorldThread
from vmem_ros.world import World, default_world
from waiting import WAIT_S


@pytest.fixture
def thread() -> WorldThread:
    return WorldThread(default_world(), max_length=2)


def test_reads_are_done_between_the_steps_of_a_change(thread: WorldThread) -> None:
    order: list[str] = []
    begun, asked = threading.Event(), threading.Event()

    def change(world: World) -> None:
        begun.set()
        assert asked.wait(WAIT_S)
        thread.serve_reads()
        order.append("changed")

    first = thread.change(change)
    second = thread.change(lambda world: order.append("second change"))
    assert begun.wait(WAIT_S)
    read = thread.read(lambda world: order.append("read"))
    asked.set()
    for future in (first, second, read):
        future.result(WAIT_S)
    assert order == ["read", "changed", "second change"]
    assert thread.close(timeout_s=WAIT_S)


def test_what_goes_wrong_is_told_and_the_next_is_done(thread: WorldThread) -> None:
    def fail(world: World) -> None:
        raise ValueError("no")

    failed, done = thread.change(fail), thread.change(len)
    with pytest.raises(ValueError, match="no"):
        failed.result(WAIT_S)
    assert done.result(WAIT_S) == 0
    assert thread.close(timeout_s=WAIT_S)


def test_its_queue_is_bounded_and_what_waits_ends_with_it(thread: WorldThread) -> None:
    begun, leave = threading.Event(), threading.Event()

    def hold(world: World) -> None:
        begun.set()
        assert leave.wait(WAIT_S)

    running = thread.change(hold)
    assert begun.wait(WAIT_S)
    waiting = [thread.change(len) for _ in range(2)]
    with pytest.raises(QueueFullError, match="2 changes wait already"):
        thread.change(len)
    assert not thread.close(timeout_s=0.01)
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(WAIT_S)
    leave.set()
    running.result(WAIT_S)
    assert thread.close(timeout_s=WAIT_S)
    with pytest.raises(CancelledError):
        thread.read(len)
