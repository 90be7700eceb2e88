"""Processes that live and end together."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_POLL_S = 0.1
# As the executables of an installation: a signal ends a program that is still being imported, without a traceback.
_RUN = """
import importlib, importlib.util, sys
from vmem_ros.interrupts import ending_quietly
with ending_quietly():
    name = sys.argv[1]
    if importlib.util.find_spec(name).submodule_search_locations is not None:
        name += ".__main__"
    main = importlib.import_module(name).main
del sys.argv[0]
sys.exit(main())
"""
# How long a process may take to end after each signal.
_GRACE = ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))


class ProcessFailedError(RuntimeError):
    """A process ended by itself, with an error or too early, or took too long. The message names it and its log."""


@dataclass(frozen=True)
class Process:
    """A running module of :mod:`vmem_ros.nodes`; ``log`` is ``None`` if it writes to the terminal."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path | None

    @property
    def where_to_look(self) -> str:
        """Where its messages are."""
        return "see its messages above" if self.log is None else f"see {self.log}"


class Processes:
    """Starts modules of :mod:`vmem_ros.nodes`, and stops them when the ``with`` block is left, last started first.

    Each is the leader of its own session: Ctrl-C in the terminal reaches this process alone, which then ends the others
    in order, so that a recorder completes its file after the last message.
    """

    def __init__(self, environment: Mapping[str, str], *, log_folder: Path) -> None:
        self._environment = dict(environment)
        self._log_folder = log_folder
        self._running: list[Process] = []

    def start(self, module: str, arguments: Sequence[str], *, log: bool = False, name: str = "") -> Process:
        """Start what ``python -m vmem_ros.nodes.<module>`` runs.

        :param module: such as ``camera`` or ``tools.recorder``.
        :param log: write its messages into ``<name>.log`` instead of the terminal.
        :param name: of the process; empty: the last part of the module.
        """
        name = name or module.rpartition(".")[2]
        command = [sys.executable, "-c", _RUN, f"vmem_ros.nodes.{module}", *arguments]
        path = None
        if log:
            self._log_folder.mkdir(parents=True, exist_ok=True)
            path = self._log_folder / f"{name}.log"
            with path.open("wb") as file:
                popen = subprocess.Popen(
                    command, env=self._environment, start_new_session=True, stdout=file, stderr=subprocess.STDOUT
                )
        else:
            popen = subprocess.Popen(command, env=self._environment, start_new_session=True)
        process = Process(name, popen, path)
        self._running.append(process)
        return process

    def wait_for(self, process: Process, *, beside: Sequence[Process], limit_s: float) -> None:
        """Wait until a process has ended well.

        :param beside: processes that must go on meanwhile.
        :raises ProcessFailedError: it failed, or took longer than ``limit_s``, or another one ended.
        """
        end = time.monotonic() + limit_s
        while (code := process.popen.poll()) is None:
            for other in beside:
                if (ended := other.popen.poll()) is not None:
                    raise ProcessFailedError(f"{other.name} ended with exit code {ended}: {other.where_to_look}")
            if time.monotonic() > end:
                raise ProcessFailedError(f"{process.name} took longer than {limit_s:g} s: {process.where_to_look}")
            time.sleep(_POLL_S)
        if code != 0:
            logs = ", ".join(f"{p.name}: {p.log}" for p in beside if p.log is not None)
            raise ProcessFailedError(
                f"{process.name} failed with exit code {code}: {process.where_to_look}; logs of the others: {logs}"
            )

    def stop(self) -> None:
        """End all processes, the last started first."""
        for process in reversed(self._running):
            for number, patience_s in _GRACE:
                if process.popen.poll() is not None:
                    break
                process.popen.send_signal(number)
                try:
                    process.popen.wait(patience_s)
                except subprocess.TimeoutExpired:
                    continue
        self._running.clear()

    def __enter__(self) -> Processes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A second Ctrl-C must not leave processes behind.
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            self.stop()
        finally:
            signal.signal(signal.SIGINT, previous)
