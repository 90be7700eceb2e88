"""What a process holds, as Linux tells."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class ProcessFigures:
    """Of one moment.

    :param rss_mb: resident memory in megabytes.
    """

    rss_mb: float
    descriptors: int
    threads: int


def figures_of(pid: int) -> ProcessFigures:
    """Return the figures of a process that runs.

    :raises OSError: it does not.
    """
    folder = Path(f"/proc/{pid}")
    resident = int((folder / "statm").read_text().split()[1]) * _PAGE / 1e6
    return ProcessFigures(resident, len(os.listdir(folder / "fd")), len(os.listdir(folder / "task")))
