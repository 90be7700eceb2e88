"""The worker's thread by itself: what ends when requests are ended, and which world is there after a cleanup."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from rclpy.task import Future

from vmem_ros.errors import CancelledError, ModelError
from vmem_ros.nodes.camera.worker import Worker
from vmem_ros.world import World, default_world
from waiting import WAIT_S, wait_until


class Bench:
    """A worker, and what it has told."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.has_world: list[bool] = []
        self.worker = Worker(
            max_length=4,
            wake=lambda: None,
            on_change=lambda: None,
            on_world=lambda world: self.has_world.append(world is not None),
            on_error=self.errors.append,
        )

    def ready(self) -> World:
        """Load a world and return it."""
        world = default_world()
        self.worker.load(lambda: world)
        wait_until(lambda: self.worker.state == "ready", "the world")
        return world

    def running(self, steps: threading.Event | None = None) -> Future:
        """Return the future of a request that runs until it is ended; it takes a step whenever ``steps`` is set."""
        begun = threading.Event()

        def run(world: World) -> None:
            begun.set()
            while True:
                if steps is not None:
                    steps.wait(WAIT_S)
                self.worker.raise_if_ended()
                time.sleep(0.001)

        future = self.worker.submit("request", run)
        assert begun.wait(WAIT_S)
        return future

    def refusal(self, future: Future) -> str:
        """Return why a future was cancelled."""
        wait_until(future.done, "the end of a request")
        error = future.exception()
        assert isinstance(error, CancelledError)
        return str(error)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    assert bench.worker.stop(timeout_s=WAIT_S)


class TestCodeThatWantsToEndTheProcess:
    """Plug-ins that were scripts call sys.exit(): that ends what they do, not the thread that answers everybody."""

    def test_in_a_request(self, bench: Bench) -> None:
        bench.ready()
        future = bench.worker.submit("request", lambda _: sys.exit("no licence"))
        wait_until(future.done, "the end of a request")
        assert str(future.exception()) == "SystemExit: no licence"
        assert isinstance(future.exception(), ModelError)
        after = bench.worker.submit("read", lambda _: "answered")
        wait_until(after.done, "the next answer")
        assert after.result() == "answered"

    def test_while_loading(self, bench: Bench) -> None:
        bench.worker.load(lambda: sys.exit("no licence"))
        wait_until(lambda: bench.worker.state == "failed", "the failure")
        assert str(bench.worker.failure) == "SystemExit: no licence"
        bench.ready()


class TestEndRequests:
    def test_running_and_waiting_ones_end_and_reads_do_not(self, bench: Bench) -> None:
        bench.ready()
        step = threading.Event()
        running = bench.running(step)
        waiting = [bench.worker.submit("request", lambda _: None) for _ in range(2)]
        read = bench.worker.submit("read", lambda _: "read")
        bench.worker.end_requests("closed")
        assert [bench.refusal(future) for future in waiting] == ["closed", "closed"]
        assert not running.done()
        step.set()
        assert bench.refusal(running) == "closed"
        wait_until(read.done, "an answer")
        assert read.result() == "read"
        later = bench.worker.submit("request", lambda _: "later")
        wait_until(later.done, "an answer")
        assert later.result() == "later"

    def test_one_that_pause_holds_ends_too(self, bench: Bench) -> None:
        bench.ready()
        begun = threading.Event()

        def hold(_: World) -> None:
            bench.worker.pause(True)
            begun.set()
            bench.worker.serve_commands(lambda: False)

        held = bench.worker.submit("request", hold)
        assert begun.wait(WAIT_S)
        waiting = bench.worker.submit("request", lambda _: None)
        bench.worker.end_requests("closed")
        assert (bench.refusal(held), bench.refusal(waiting)) == ("closed", "closed")


class TestOrder:
    def test_reads_go_before_commands_but_not_for_ever(self, bench: Bench) -> None:
        bench.ready()
        read: list[float] = []
        done: list[int] = []

        def read_again(_: World) -> None:
            read.append(time.monotonic())
            if not done:
                bench.worker.submit("read", read_again)  # there is always one

        hold = threading.Event()
        bench.worker.submit("read", lambda _: hold.wait(WAIT_S))
        command = bench.worker.submit("command", lambda _: done.append(len(read)))
        bench.worker.submit("read", read_again)
        hold.set()
        wait_until(command.done, "the command")
        assert done[0] >= 1


class TestLargeReads:
    def begin(self, bench: Bench, parts: threading.Semaphore, **options: Any) -> Future:
        """Begin a large read that takes a part whenever it may, and returns the names of what was read meanwhile."""
        bench.ready()
        begun = threading.Event()

        def work(_: World) -> Generator[None, None, list[str]]:
            for _part in range(3):
                begun.set()
                assert parts.acquire(timeout=WAIT_S)
                yield
            return done

        done: list[str] = []
        self.done = done
        future = bench.worker.submit("large", work, **options)
        assert begun.wait(WAIT_S)
        return future

    def test_reads_are_served_between_their_parts_and_commands_after_them(self, bench: Bench) -> None:
        parts = threading.Semaphore(0)
        large = self.begin(bench, parts)
        for lane in ("command", "large", "read"):
            bench.worker.submit(lane, lambda _, lane=lane: self.done.append(lane))
        parts.release()
        wait_until(lambda: self.done, "a read")
        assert (self.done, large.done()) == (["read"], False)
        parts.release(2)
        wait_until(lambda: len(self.done) == 3, "the others")
        assert self.done == ["read", "large", "command"]
        assert large.result() is self.done

    def test_they_end_with_requests(self, bench: Bench) -> None:
        parts = threading.Semaphore(0)
        running = self.begin(bench, parts)
        waiting = bench.worker.submit("large", lambda _: None)
        bench.worker.end_requests("closed")
        parts.release()
        assert (bench.refusal(waiting), bench.refusal(running)) == ("closed", "closed")

    def test_they_end_when_nobody_wants_them(self, bench: Bench) -> None:
        parts = threading.Semaphore(1)
        assert "nobody waits" in bench.refusal(self.begin(bench, parts, wanted=lambda: False))

    def test_one_that_fails_is_an_error_and_the_next_is_served(self, bench: Bench) -> None:
        bench.ready()

        def fail(_: World) -> Generator[None, None, None]:
            yield
            raise ValueError("broken")

        failed = bench.worker.submit("large", fail)
        after = bench.worker.submit("large", lambda _: "drawn")
        wait_until(after.done, "the next")
        assert after.result() == "drawn"
        assert str(failed.exception()) == "ValueError: broken"


class TestCleanup:
    def test_world_is_gone_before_the_next_is_built(self, bench: Bench) -> None:
        """Though a request runs meanwhile, ends with an error that somebody keeps, and loading is asked for at once."""
        old, step = weakref.ref(bench.ready()), threading.Event()
        running = bench.running(step)
        new, left = default_world(), []

        def build() -> World:
            left.append(old())
            return new

        bench.worker.unload()
        bench.worker.load(build)
        step.set()
        wait_until(lambda: bench.worker.state == "ready", "the world")
        assert bench.refusal(running) == "the camera node was cleaned up"
        assert left == [None]
        used = bench.worker.submit("read", lambda world: world is new)
        wait_until(used.done, "an answer")
        assert used.result()
        assert bench.has_world == [True, False, True]

    def test_world_that_an_error_refers_to_is_gone_too(self, bench: Bench) -> None:
        old, left = weakref.ref(bench.ready()), []

        def fail(world: World) -> None:
            try:
                raise ValueError(f"{len(world)} views")
            except ValueError as error:
                cause = error  # whose traceback holds this frame, which holds it
                raise ModelError("failed") from cause

        wait_until(bench.worker.submit("request", fail).done, "the failure")

        def build() -> World:
            left.append(old())
            return default_world()

        bench.worker.unload()
        bench.worker.load(build)
        wait_until(lambda: bench.worker.state == "ready", "the world")
        assert left == [None]

    def test_load_in_work_is_superseded(self, bench: Bench) -> None:
        begun, go = threading.Event(), threading.Event()

        def slow() -> World:
            begun.set()
            go.wait(WAIT_S)
            return default_world()

        new = default_world()
        bench.worker.load(slow)
        assert begun.wait(WAIT_S)
        bench.worker.unload()
        bench.worker.load(lambda: new)
        go.set()
        wait_until(lambda: bench.worker.state == "ready", "the world")
        used = bench.worker.submit("read", lambda world: world is new)
        wait_until(used.done, "an answer")
        assert used.result()
        assert bench.has_world == [False, True]

    def test_load_that_fails_after_it_leaves_the_worker_unloaded(self, bench: Bench) -> None:
        begun, go = threading.Event(), threading.Event()

        def fail() -> World:
            begun.set()
            go.wait(WAIT_S)
            raise ModelError("no weights")

        bench.worker.load(fail)
        assert begun.wait(WAIT_S)
        bench.worker.unload()
        go.set()
        wait_until(lambda: bench.has_world == [False], "the end of the world")
        assert (bench.worker.state, bench.worker.failure) == ("unloaded", None)

    def test_pause_does_not_outlive_it(self, bench: Bench) -> None:
        bench.ready()
        bench.worker.pause(True)
        waiting = bench.worker.submit("request", lambda _: None)
        bench.worker.unload()
        assert bench.refusal(waiting) == "the camera node was cleaned up"
        assert not bench.worker.paused
        bench.ready()
        later = bench.worker.submit("request", lambda _: "later")
        wait_until(later.done, "an answer")
        assert later.result() == "later"
