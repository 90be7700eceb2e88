"""What the scripts of this folder do when they end."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable

from vmem_ros.errors import VmemError

#: How long a node that looks at :func:`event_of_signals` may wait: Python sees a signal only between two waits.
SIGNAL_POLL_S = 0.1


def exit_status(name: str, work: Callable[[], None], *, errors: tuple[type[Exception], ...] = (VmemError,)) -> int:
    """Do the work and return a script's exit status: 0, 1 after an error that is named on stderr, 130 after Ctrl-C.

    :param errors: those that are named; others are raised.
    """
    try:
        work()
    except errors as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def event_of_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set from now on.

    For nodes that must finish something: rclpy's own handlers end the context under whoever publishes or records. Give
    ``rclpy.init`` ``SignalHandlerOptions.NO`` beside it, and spin in waits of :data:`SIGNAL_POLL_S`.
    """
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: event.set())
    return event
