"""Posed frames of a real camera, read one by one, whatever the layout of their files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

import cv2
import torch
from torch import Tensor

from vmem_ros.errors import RecordingError
from vmem_ros.geometry import Camera
from vmem_ros.recordings.source import Source
from vmem_ros.recordings.upright import rotation_to_z_up, up_of_cameras
from vmem_ros.types import Target, View


@dataclass(frozen=True, eq=False)
class RecordedFrame:
    """One frame of a recording.

    :param name: for people: a file's name, or a time.
    :param view: image, camera, pose in a world with z up, time, and depth where a sensor measured it.
    :param mask: [H, W] bool, pixels that no camera saw: the corners that rectification leaves. ``None``: it saw all.
    """

    name: str
    view: View
    mask: Tensor | None = None


class Recording:
    """The frames of a recording that were chosen, in one size and in a world whose z axis points up.

    Nothing but the frame that is asked for is in memory. A context manager that closes what it reads from.

    :param source: the layout's reader; it is closed with the recording.
    :param title: its name, for people.
    :param frames: which of its frames, as of a list.
    :param width: of the pictures in pixels: larger ones are scaled down, colours as means of an area, depth as that of
        the nearest pixel. ``None``: as they are.
    :param max_depth_m: depth beyond it becomes unknown.
    :param up: the axis of the recording's world that points up, see :data:`~vmem_ros.recordings.upright.AXES`.
        ``None``: what the layout says, else what the cameras tell; where they do not, +z, and :attr:`notes` say so.
    :raises RecordingError: no frame is left, or an option is out of range.
    """

    def __init__(
        self,
        source: Source,
        *,
        title: str,
        frames: slice = slice(None),
        width: int | None = None,
        max_depth_m: float | None = None,
        up: str | None = None,
    ) -> None:
        if width is not None and width < 1:
            raise RecordingError(f"width must be at least 1 pixel, got {width}")
        if max_depth_m is not None and not max_depth_m > 0:
            raise RecordingError(f"max_depth_m must be positive, got {max_depth_m:g}")
        self._source = source
        self._max_depth_m = max_depth_m
        self._indices = range(len(source.targets))[frames]
        if not self._indices:
            raise RecordingError(
                f"no frame is left: {title} has {len(source.targets)}, and {_as_text(frames)} takes none of them"
            )
        notes = list(source.notes)
        #: The axis of the recording's own world that points up.
        self.up = up or _up(source, notes)
        T_up_world = rotation_to_z_up(self.up)
        #: Its name, for people.
        self.title = title
        #: Name of its layout.
        self.layout = source.layout
        #: What a user should know: what was left out or assumed, and why.
        self.notes = tuple(notes)
        #: Camera, pose and time of each frame.
        self.targets = tuple(
            Target(_narrowed(target.camera, width), T_up_world @ target.T_world_camera, target.stamp_ns)
            for target in (source.targets[i] for i in self._indices)
        )

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> RecordedFrame:
        """Return one frame, read and decoded anew.

        :raises IndexError: there is none of this number.
        :raises RecordingError: what belongs to it is missing, damaged or does not fit the rest.
        """
        target, number = self.targets[index], self._indices[index]
        seen = self._source.read(number)
        image, depth, mask = seen.view.image, seen.view.depth, seen.mask
        if target.camera.size != tuple(image.shape[:2]):
            size = (target.camera.width, target.camera.height)
            image = _resized(image, size, cv2.INTER_AREA)
            # A mean of two surfaces is a surface that does not exist.
            depth = None if depth is None else _resized(depth, size, cv2.INTER_NEAREST_EXACT)
            mask = None if mask is None else _resized(mask.to(torch.uint8), size, cv2.INTER_NEAREST_EXACT).bool()
        if depth is not None and self._max_depth_m is not None:
            depth = torch.where(torch.isfinite(depth) & (depth > self._max_depth_m), torch.nan, depth)
        view = dataclasses.replace(
            seen.view, image=image, depth=depth, camera=target.camera, T_world_camera=target.T_world_camera
        )
        return RecordedFrame(self._source.names[number], view, mask)

    def frames(self) -> Iterator[RecordedFrame]:
        """Yield all frames in order; see :meth:`__getitem__`."""
        for index in range(len(self)):
            yield self[index]

    def close(self) -> None:
        """Close files; no frame can be read any more."""
        self._source.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _up(source: Source, notes: list[str]) -> str:
    """Return the axis that is up where the user does not say it, and note what the user should know of that.

    All cameras count, also those of frames that are not chosen.
    """
    found = up_of_cameras([target.T_world_camera for target in source.targets])
    if source.up is not None:
        if found not in (None, source.up):
            notes.append(f"up is {source.up} in such recordings, but the cameras are held as if it were {found}")
        return source.up
    if found is None:
        notes.append("which way is up is not clear from the cameras: it is taken to be +z unless you say it (up)")
        return "+z"
    notes.append(f"up is {found}: so the cameras are held")
    return found


def frames_from_text(text: str) -> slice:
    """Return the slice that ``start:stop:step`` names, as Python has it; each part may be empty.

    :raises RecordingError: it is none, or goes backwards.
    """
    parts = text.split(":")
    try:
        numbers = [int(part) if part.strip() else None for part in parts]
    except ValueError:
        numbers = []
    if not 2 <= len(numbers) <= 3 or (len(numbers) == 3 and numbers[2] is not None and numbers[2] < 1):
        raise RecordingError(f"frames = {text!r}: write start:stop:step, such as 0:190:4, 100: or ::2")
    return slice(*numbers)


def _as_text(frames: slice) -> str:
    return ":".join("" if part is None else str(part) for part in (frames.start, frames.stop, frames.step))


def _narrowed(camera: Camera, width: int | None) -> Camera:
    if width is None or width >= camera.width:
        return camera
    return camera.resized(width, max(1, round(camera.height * width / camera.width)))


def _resized(pixels: Tensor, size: tuple[int, int], how: int) -> Tensor:
    """Return [h, w, ...] in another size (width, height)."""
    return torch.from_numpy(cv2.resize(pixels.numpy(), size, interpolation=how))
