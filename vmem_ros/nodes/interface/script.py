"""What the scripts of this folder do when they end."""

from __future__ import annotations

import re
import signal
import sys
import threading
from collections.abc import Callable

from rclpy.exceptions import NameValidationException, ParameterException

from vmem_ros.errors import VmemError

#: How long a node that looks at :func:`event_of_signals` may wait: Python sees a signal only between two waits.
SIGNAL_POLL_S = 0.1

#: Exit status of a node that does not start as it was asked to.
REFUSED = 2
#: What is refused when rclpy starts, or a node: arguments, files of parameters, names, types of parameters.
START_ERRORS = (VmemError, OSError, RuntimeError, ParameterException, NameValidationException)


def exit_status(name: str, work: Callable[[], None], *, errors: tuple[type[Exception], ...] = (VmemError,)) -> int:
    """Do the work and return a node's exit status: 0, also after Ctrl-C, or 1 after an error that is named on stderr.

    Ctrl-C is how launch ends its nodes, and it reports those that end with anything but 0 as crashed.

    :param errors: those that are named; others are raised.
    """
    try:
        work()
    except errors as error:
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
    return 0


def refusal(name: str, error: Exception) -> int:
    """Say on stderr, in one line, why a node does not start, and return its exit status."""
    text = re.sub(r", at /\S+:\d+", "", " ".join(str(error).split()))  # places in the sources of rcl help nobody
    cause = text if isinstance(error, VmemError) else f"{type(error).__name__}: {text}"
    print(f"{name}: cannot start: {cause}", file=sys.stderr)
    return REFUSED


def event_of_signals() -> threading.Event:
    """Return an event that SIGINT and SIGTERM set from now on.

    For nodes that must finish something: rclpy's own handlers end the context under whoever publishes or records. Give
    ``rclpy.init`` ``SignalHandlerOptions.NO`` beside it, and spin in waits of :data:`SIGNAL_POLL_S`.
    """
    event = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: event.set())
    return event
