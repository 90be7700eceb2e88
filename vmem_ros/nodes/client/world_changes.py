"""When what the camera node remembers has changed, by what ~/status tells."""

from __future__ import annotations

from vmem_ros.msg import Status

from vmem_ros.messages.stamps import stamp_to_ns


class WorldChanges:
    """Watches ~/status for other figures of the world; all times are the node's.

    The node tells of a change before it answers whoever made it, and publishes what is remembered afterwards.
    """

    def __init__(self) -> None:
        #: Time of the newest change, in nanoseconds: what is published later has it. 0: none is known.
        self.newest_ns = 0
        self._told_ns = 0
        self._seen: tuple[object, ...] | None = None

    def note(self, status: Status) -> None:
        """Take in a status."""
        told_ns = stamp_to_ns(status.stamp)
        seen = (status.stored_views, status.memory_bytes, status.figure_values.tobytes())  # NaN equals itself
        if told_ns < self._told_ns:
            self.newest_ns = 0  # time has jumped back: no stamp from before tells anything
        elif self._seen is not None and seen != self._seen:
            self.newest_ns = told_ns
        self._told_ns, self._seen = told_ns, seen
