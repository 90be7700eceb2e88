"""The log of a training: one JSON object a line."""

from __future__ import annotations

import json
import time
from pathlib import Path

from accelerate import Accelerator

from vmem_ros.files import write_text


class TrainingLog:
    """Lines of figures by step. Experiment trackers of the accelerator get them as well.

    :param path: file to write, ``.jsonl``; lines of steps after ``step``, from before a kill, are dropped.
    :param accelerator: only its main process writes.
    """

    def __init__(self, path: Path, *, step: int, accelerator: Accelerator) -> None:
        self._path = path
        self._accelerator = accelerator
        self._figures: dict[str, list[float]] = {}
        self._since = time.monotonic()
        kept = [entry for entry in read_log(path) if entry["step"] <= step]
        if accelerator.is_main_process:
            write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))

    def start_clock(self) -> None:
        """Count the time of the next line from now on."""
        self._since = time.monotonic()

    def collect(self, figures: dict[str, float]) -> None:
        """Take the figures of one step, of which the next line gets the means."""
        if not self._accelerator.is_main_process:
            return
        for name, value in figures.items():
            self._figures.setdefault(name, []).append(value)

    def add_means(self, step: int, more: dict[str, float]) -> None:
        """Write a line with the means of what was collected since the last one, and the speed in steps per second."""
        now = time.monotonic()
        speed = max(map(len, self._figures.values())) / (now - self._since)
        means = {name: sum(values) / len(values) for name, values in self._figures.items()}
        self.add(step, {**means, **more, "steps_per_s": speed})
        self._figures, self._since = {}, now

    def add(self, step: int, figures: dict[str, float]) -> None:
        """Write a line."""
        rounded = {name: float(f"{value:.6g}") for name, value in figures.items()}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step} | rounded) + "\n")
        self._accelerator.log(rounded, step=step)


def read_log(path: Path) -> list[dict[str, float]]:
    """Return the entries of a log; a last line that was cut short is left out."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries
