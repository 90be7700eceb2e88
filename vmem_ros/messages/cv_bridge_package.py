"""cv_bridge, where a ROS installation has it and it can be used with the NumPy and OpenCV that are here."""

from __future__ import annotations

from functools import cache
from typing import Any

_PYTHON_ALONE = (
    "this cv_bridge is not ROS 2's but a port of ROS 1's from the package index: pip uninstall cv-bridge, and "
    "apt install ros-<distro>-cv-bridge"
)


def find_cv_bridge() -> Any:
    """Return a ``cv_bridge.CvBridge``, or ``None`` if none works here; :func:`cv_bridge_source` says why.

    It is imported at the first call: what it brings along is large, and most cameras need none of it.
    """
    return _found()[0]


def cv_bridge_source() -> str:
    """Return what decodes unusual image encodings, in words."""
    return _found()[1] if _found.cache_info().currsize else "none has come"


@cache
def _found() -> tuple[Any, str]:
    try:
        import cv_bridge
        from cv_bridge.boost import cv_bridge_boost

        if not cv_bridge_boost.__file__.endswith(".py"):
            return cv_bridge.CvBridge(), "cv_bridge"
        why = _PYTHON_ALONE
    except ModuleNotFoundError as error:
        why = f"{error.name} is not installed: apt install ros-<distro>-cv-bridge"
    # Built for another NumPy it ends in errors of any kind; what it can do, OpenCV can as well.
    except Exception as error:
        why = f"cv_bridge cannot be used: {type(error).__name__}: {error}"
    return None, f"OpenCV ({why})"
