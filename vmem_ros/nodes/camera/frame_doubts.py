"""Whether a frame can be what it is taken for: the optical frame of a camera, or its link."""

from __future__ import annotations

import math

from torch import Tensor

# Cameras of robots look up or down by less than the rest to the vertical.
_STRAIGHT = math.cos(math.radians(20.0))


def doubt_of_optical(frame_id: str, T_world_frame: Tensor) -> str:
    """Return why a frame does not look like an optical one (z forward, x right, y down), or an empty string.

    A body frame (x forward, z up) that stands upright, taken for an optical one, looks straight into the sky. A camera
    with ``optical`` in its frame's name may look straight down, as those of drones do.

    :param T_world_frame: [4, 4], a world with z up.
    """
    named = "optical" in frame_id.lower()
    up = float(T_world_frame[2, 2])
    where = "into the sky" if up > _STRAIGHT else "into the floor" if up < -_STRAIGHT and not named else ""
    if not where and named:
        return ""
    unnamed = "" if named else "its name does not say 'optical'"
    reasons = " and ".join(filter(None, (unnamed, where and f"it looks straight {where}")))
    return (
        f"frame {frame_id!r} is taken for an optical one (z forward, x right, y down), but {reasons}: if it is a body "
        "frame (x forward, z up), set the frame_id of the driver to its optical frame"
    )


def doubt_of_link(frame_id: str, T_world_frame: Tensor) -> str:
    """Return why a frame does not look like a camera's link (x forward, z up), or an empty string.

    An optical frame of a level camera, taken for a link, stands on its side: its z is level, and its y points down.
    """
    sideways = float(T_world_frame[2, 1]) < -_STRAIGHT
    if "optical" not in frame_id.lower() and not sideways:
        return ""
    reason = "its y points to the floor" if sideways else "its name says 'optical'"
    return (
        f"frame {frame_id!r} is taken for a camera link (x forward, z up), but {reason}: name the link above the "
        "optical frame"
    )
