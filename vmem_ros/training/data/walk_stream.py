"""Walks by number, made by worker processes beside the training in the order in which it needs them."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic

import torch
from safetensors import SafetensorError, safe_open
from tqdm import tqdm

from vmem_ros.errors import TrainingDataError, VmemError
from vmem_ros.training.data.cache import Cache, T
from vmem_ros.training.recipes.data import Data

# WalkStream that are made before they are needed.
_AHEAD = 64
_POLL_S = 0.05
# Seconds after which a process says what it waits for, and after which it no longer relies on another.
_SILENT_S, _PATIENCE_S = 10.0, 600.0


class WalkStream(Generic[T]):
    """Walks by number, for a training that goes through ever new ones: :class:`~vmem_ros.training.recipes.data.Data`.

    :param open_caches: returns the caches to fill, the last of which is read; called in every process, so it must be
        picklable.
    :param produces: false where another process of the same training has the workers.
    """

    def __init__(self, open_caches: Callable[[], list[Cache[Any]]], data: Data, *, produces: bool = True) -> None:
        self._data = data
        self._produces = produces
        self._caches = open_caches()
        self._open_caches = open_caches
        self._processes: list[Any] = []

    @property
    def folder(self) -> Path:
        """Where the walks that are read lie."""
        return self._caches[-1].folder

    def window(self, sample: int) -> range:
        """Return the numbers of the walks that the sample with this number is drawn from."""
        newest = self._data.first_walks + sample // self._data.samples_per_walk
        return range(max(0, newest - self._data.window), newest)

    def get(self, number: int, *, sample: int) -> T:
        """Return a walk; waits for it while it is being made.

        :param sample: number of the sample that it is for: says how far the training is.
        :raises TrainingDataError: it cannot be made or kept.
        """
        self._wait(number, sample)
        return self._caches[-1].get(number)

    def open(self, number: int, *, sample: int) -> Path:
        """Return the file of a walk, to read parts of it; otherwise like :meth:`get`."""
        self._wait(number, sample)
        path = self._caches[-1].path(number)
        try:
            with safe_open(path, "pt"):
                return path
        except (OSError, SafetensorError):
            # Deleted by another training, or cut short by a crash of the machine: read whole, or made again.
            self._caches[-1].get(number)
            return path

    def _wait(self, number: int, sample: int) -> None:
        """Return once a walk is there, or no other process is going to make it."""
        window, path, began = self.window(sample), self._caches[-1].path(number), time.monotonic()
        if not self._produces:
            # What does not come although the other process is past it, this one makes.
            while self._data.workers and not path.exists() and time.monotonic() - began < _PATIENCE_S:
                time.sleep(_POLL_S)
            return
        if self._data.workers and not self._processes:
            self._start(window)
        if self._processes:
            self._progress.value = window.stop
            self._floor.value = window.start
            # What the workers have passed and another training deleted, this process makes.
            said = False
            while not path.exists() and min(self._passed) <= number:
                self._check()
                time.sleep(_POLL_S)
                if not said and time.monotonic() - began > _SILENT_S:
                    said = True
                    tqdm.write(f"waiting for walk {number}; {min(self._passed)} are there or not needed", sys.stderr)

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        self._processes = []

    def _start(self, window: range) -> None:
        context = multiprocessing.get_context("spawn")
        self._progress = context.Value("q", window.stop, lock=False)
        self._floor = context.Value("q", window.start, lock=False)
        self._failures = context.Queue()
        workers = self._data.workers
        self._passed = context.Array("q", workers, lock=False)
        for index in range(workers):
            arguments = (
                self._open_caches,
                self._data,
                index,
                self._progress,
                self._floor,
                self._passed,
                self._failures,
            )
            process = context.Process(target=_produce, args=arguments, daemon=True)
            process.start()
            self._processes.append(process)

    def _check(self) -> None:
        """Raise what ended a worker, if anything did."""
        try:
            message = self._failures.get_nowait()
        except queue.Empty:
            if all(process.is_alive() for process in self._processes):
                return
            message = "a process that makes training data ended without a word; was it killed for memory?"
        self.close()
        raise TrainingDataError(message)


def _produce(
    open_caches: Callable[[], list[Cache[Any]]],
    data: Data,
    index: int,
    progress: Any,
    floor: Any,
    passed: Any,
    failures: Any,
) -> None:
    """Make this worker's share of the walks, a little ahead of the training, and delete those that it has left."""
    # Ctrl-C reaches all processes of a terminal; the training ends this one when it has saved.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker is a child of the training"
    try:
        caches = open_caches()
        number = floor.value
        while parent.is_alive():
            number = max(number, floor.value)
            if number >= progress.value + _AHEAD:
                time.sleep(_POLL_S)
                continue
            # Walks of one house belong to one worker, which then has its light.
            mine = number // data.walks_per_house % data.workers == index
            if mine and not caches[-1].path(number).exists():
                caches[-1].get(number)
                for cache in caches:
                    cache.forget_before(floor.value)
            number += 1
            passed[index] = number
    except VmemError as error:
        failures.put(str(error))
    except Exception as error:
        failures.put(f"training data cannot be made: {type(error).__name__}: {error}")
