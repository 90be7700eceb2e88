"""What a planner does in a soak, and how each may end."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from vmem_ros.errors import ErrorCode, VmemError
from vmem_ros.geometry import Camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.client.answers import Feedback
from vmem_ros.nodes.interface.parameters import PARAMETERS
from vmem_ros.nodes.soak.place import pose_from

C = ErrorCode
# Others reset the world, fill the queue and cancel at any time.
_OTHERS = frozenset({C.NONE, C.NOT_SEEDED, C.QUEUE_FULL, C.CANCELLED})
_LARGE = Camera.from_fov(1024, 768, 75)
_TOO_LARGE = Camera.from_fov(4096, 4096, 75)
_AT_ONCE = 40


@dataclass(frozen=True)
class Action:
    """One kind of call.

    :param weight: how often it is chosen, against the others.
    :param codes: how it may end; anything else is unexpected.
    """

    weight: float
    call: Callable[[CameraClient, random.Random], object]
    codes: frozenset[ErrorCode] = _OTHERS


class _EnoughError(Exception):
    """Raised while views are drawn: cancels the request."""


def _cancel_midway(client: CameraClient, rng: random.Random) -> None:
    left = rng.randrange(4)

    def count(_: Feedback) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise _EnoughError

    try:
        client.generate([pose_from(rng) for _ in range(6)], on_feedback=count)
    except _EnoughError:
        return


def _many_at_once(client: CameraClient, rng: random.Random) -> None:
    """Render in many threads; every one gets an answer, if only that the queue is full.

    :raises VmemError: the first unexpected one.
    """
    errors: list[VmemError] = []

    def render(T: Tensor) -> None:
        try:
            client.render(T, images=False)
        except VmemError as error:
            if error.code not in _OTHERS:
                errors.append(error)

    threads = [threading.Thread(target=render, args=(pose_from(rng),)) for _ in range(_AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def _hold(client: CameraClient, rng: random.Random) -> None:
    client.pause()
    time.sleep(rng.uniform(0.0, 0.3))
    client.pause(False)


def _path_of(rng: random.Random) -> str:
    return f"world_{rng.randrange(3)}"


ACTIONS = {
    "render, figures": Action(20, lambda c, r: c.render(pose_from(r), images=False)),
    "render, pictures": Action(10, lambda c, r: c.render(pose_from(r))),
    "render, 1024 x 768": Action(2, lambda c, r: c.render(pose_from(r), camera=_LARGE)),
    "40 renders at once": Action(1, _many_at_once),
    "capture": Action(6, lambda c, r: c.capture(pose_from(r))),
    "generate 6 views": Action(3, lambda c, r: c.generate([pose_from(r) for _ in range(6)])),
    "generate, cancelled": Action(3, _cancel_midway),
    "cancel": Action(1, lambda c, r: c.cancel()),
    "move": Action(4, lambda c, r: c.move_to(pose_from(r))),
    "pause": Action(1, _hold),
    "undo": Action(2, lambda c, r: c.undo(), _OTHERS | {C.NOTHING_TO_UNDO}),
    "save": Action(1, lambda c, r: c.save(_path_of(r), overwrite=True)),
    "load": Action(0.5, lambda c, r: c.load(_path_of(r)), _OTHERS | {C.FILE_ERROR}),
    "reset": Action(0.2, lambda c, r: c.reset()),
    "too large": Action(1, lambda c, r: c.render(pose_from(r), camera=_TOO_LARGE), frozenset({C.INVALID_CAMERA_INFO})),
    "no poses": Action(1, lambda c, r: c.generate([]), frozenset({C.INVALID_POSE})),
    "outside world.root": Action(1, lambda c, r: c.load("../elsewhere"), frozenset({C.FILE_ERROR})),
}
assert _TOO_LARGE.width * _TOO_LARGE.height > int(PARAMETERS["camera.max_pixels"].default)
