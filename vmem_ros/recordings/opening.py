"""Opens a recording of any layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vmem_ros.errors import ModelError, RecordingError
from vmem_ros.pretrained.factories import Entry, make
from vmem_ros.protocols import OnStep
from vmem_ros.recordings.bag_paths import is_bag
from vmem_ros.recordings.posed_folder import is_posed_folder
from vmem_ros.recordings.recording import Recording
from vmem_ros.recordings.seven_scenes import is_seven_scenes
from vmem_ros.recordings.source import Source
from vmem_ros.recordings.tum import is_tum


@dataclass(frozen=True)
class Layout:
    """How files make a recording.

    :param entry: what opens it; called with ``path`` and ``on_step``, returns a
        :class:`~vmem_ros.recordings.source.Source`.
    :param recognises: whether a path looks like it.
    :param looks: what that looks for, in words.
    """

    entry: Entry
    recognises: Callable[[Path], bool]
    looks: str


_ROOM = "vmem_ros.recordings"
#: Layouts by name. A new one is a file beside this one and an entry here.
LAYOUTS = {
    "posed_folder": Layout(
        Entry(f"{_ROOM}.posed_folder:open_posed_folder", f"{_ROOM}.posed_folder:PosedFolderOptions"),
        is_posed_folder,
        "color/ and poses/",
    ),
    "tum": Layout(Entry(f"{_ROOM}.tum:open_tum", f"{_ROOM}.tum:TumOptions"), is_tum, "rgb.txt"),
    "seven_scenes": Layout(
        Entry(f"{_ROOM}.seven_scenes:open_seven_scenes", f"{_ROOM}.seven_scenes:SevenScenesOptions"),
        is_seven_scenes,
        "*.color.png",
    ),
    "bag": Layout(
        Entry(f"{_ROOM}.bag:open_bag", f"{_ROOM}.bag:BagOptions", extra="'vmem_ros[recordings]'"),
        is_bag,
        "metadata.yaml, a .mcap or a .db3 file",
    ),
}
AUTO = "auto"


def open_recording(
    path: Path | str,
    *,
    layout: str = AUTO,
    frames: slice = slice(None),
    width: int | None = None,
    max_depth_m: float | None = None,
    up: str | None = None,
    on_step: OnStep | None = None,
    **options: Any,
) -> Recording:
    """Return the frames of a recording, to be read one by one.

    :param layout: one of :data:`LAYOUTS`, ``module:factory`` of your own, where ``factory(path=..., on_step=...,
        **options)`` returns a :class:`~vmem_ros.recordings.source.Source`, or ``auto``: what the files look like.
    :param frames: which frames, as of a list; see :class:`~vmem_ros.recordings.recording.Recording` for it and for
        ``width``, ``max_depth_m`` and ``up``.
    :param on_step: called while the recording is opened, if that takes long: (done, of how much).
    :param options: fields of the options of the layout.
    :raises RecordingError: nothing is there, it has no known layout, an option is wrong, or a file is.
    """
    path = Path(path)
    if not path.exists():
        raise RecordingError(f"{path} does not exist: name the folder of a recording, or a file of a bag")
    chosen = _recognised(path) if layout == AUTO else layout
    arguments = {"path": path, "on_step": on_step}
    try:
        entries = {name: each.entry for name, each in LAYOUTS.items()}
        source: Source = make(entries, chosen, what="layout", arguments=arguments, options=options)
    except ModelError as error:
        raise RecordingError(f"{path}: {error}") from error
    try:
        return Recording(source, title=path.name, frames=frames, width=width, max_depth_m=max_depth_m, up=up)
    except BaseException:
        source.close()
        raise


def _recognised(path: Path) -> str:
    found = _looks_like(path)
    if len(found) == 1:
        return found[0]
    if found:
        raise RecordingError(f"{path} looks like several layouts: give layout, one of {', '.join(found)}")
    if path.suffix == ".bag":
        convert = f"rosbags-convert --src {path} --dst {path.stem}"
        raise RecordingError(f"{path} is a bag of ROS 1: make it one of ROS 2 with {convert}")
    known = "; ".join(f"{each.looks} ({name})" for name, each in LAYOUTS.items())
    inside = sorted(child.name for child in path.iterdir() if _looks_like(child)) if path.is_dir() else []
    hint = f"; within it, {', '.join(inside)} look like recordings" if inside else ""
    raise RecordingError(f"{path} is no recording of a known layout. Looked for: {known}{hint}")


def _looks_like(path: Path) -> list[str]:
    return [name for name, each in LAYOUTS.items() if each.recognises(path)]
