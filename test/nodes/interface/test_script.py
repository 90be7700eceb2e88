"""How the nodes that are programs end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from vmem_ros.errors import NotReadyError
from vmem_ros.nodes.interface.script import exit_status, refusal
from waiting import WAIT_S


def interrupted() -> None:
    raise KeyboardInterrupt


def failing() -> None:
    raise NotReadyError("nobody listens: start the camera")


def test_ctrl_c_is_how_a_node_ends(capsys: pytest.CaptureFixture[str]) -> None:
    """Launch takes every other status for a crash."""
    assert exit_status("demo_robot", interrupted) == 0
    assert capsys.readouterr().err == "demo_robot: interrupted\n"


def test_errors_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status("demo_robot", failing) == 1
    assert capsys.readouterr().err == "demo_robot: NotReadyError: nobody listens: start the camera\n"


def test_a_refusal_is_one_line_without_places_in_the_sources_of_rcl(capsys: pytest.CaptureFixture[str]) -> None:
    error = RuntimeError("failed to initialize rcl: Couldn't parse\nit, at /project/src/parser.c:271, at /a/b.c:1")
    assert refusal("vmem_camera", error) == 2
    said = "vmem_camera: cannot start: RuntimeError: failed to initialize rcl: Couldn't parse it\n"
    assert capsys.readouterr().err == said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("status", [0, 130])
def test_the_end_while_imports_run(number: signal.Signals, status: int) -> None:
    """And afterwards signals do what they did before."""
    script = f"""
import signal, time
from vmem_ros.interrupts import ending_quietly
before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
with ending_quietly():
    pass
assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
with ending_quietly({status}):
    print("imports", flush=True)
    time.sleep(600)
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "imports\n"
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=WAIT_S)
    assert (process.returncode, errors) == (status, "")
