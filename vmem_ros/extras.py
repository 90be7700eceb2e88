"""Packages that only a part of this one needs: the extras of ``pip install vmem_ros[...]``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vmem_ros.errors import MissingPackageError

#: Extra: what its rooms import beyond the rest. ``setup.py`` has the same with versions.
EXTRAS: dict[str, tuple[str, ...]] = {
    "benchmarking": ("matplotlib",),
    "evaluation": ("matplotlib",),
    "fleet": ("gymnasium", "ray"),
    "lora": ("peft",),
    # What others have built, to be compared with.
    "peers": ("open3d",),
    "recordings": ("rosbags",),
    # Single rotations of messages; without it, scipy turns them (vmem_ros/messages/rotations.py).
    "ros": ("transforms3d",),
    # Houses need no more than the rest.
    "scenes": (),
    "showcase": ("matplotlib", "rosbags"),
    "training": ("accelerate", "matplotlib", "peft", "pydantic"),
    "viewer": ("viser",),
}


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """Say how to install what an import in the block does not find.

    :param extra: one of :data:`EXTRAS`.
    :param what: what needs it, for the message.
    :raises MissingPackageError: a package of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS[extra]:
            raise
        raise MissingPackageError(
            f"{what} needs {package}, which is not installed: pip install {package}, or all that it needs with "
            f"pip install 'vmem_ros[{extra}]'"
        ) from error
