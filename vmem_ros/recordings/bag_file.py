"""A ROS 2 bag of either storage as a table of topics and their messages."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore

from vmem_ros.errors import RecordingError, VmemError
from vmem_ros.recordings.bag_paths import storage_of


@dataclass(frozen=True)
class Topic:
    """One topic of a bag.

    :param type: of its messages, such as ``sensor_msgs/msg/Image``.
    :param count: of messages.
    """

    name: str
    type: str
    count: int


class BagFile:
    """An open bag.

    :param path: a folder as ``ros2 bag record`` makes it, or one of its ``.mcap`` or ``.db3`` files.
    :raises RecordingError: missing, truncated, or of a kind that is not read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Standard messages are the same in all distributions that are in use.
        self._types = get_typestore(Stores.ROS2_JAZZY)
        with self._named("opened"):
            self._reader = Reader(storage_of(path))
            self._reader.open()
        #: Those that have messages, by name.
        self.topics: Mapping[str, Topic] = {
            name: Topic(name, info.msgtype or "", info.msgcount)
            for name, info in sorted(self._reader.topics.items())
            if info.msgcount
        }

    def messages(
        self, topics: Iterable[str], *, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[str, int, Any]]:
        """Yield topic, time of writing in nanoseconds and message, in the order of writing.

        :param start_ns: the first time of writing; ``stop_ns``: the one after the last.
        :raises RecordingError: the bag is damaged.
        """
        wanted = set(topics)
        with self._named("read"):
            chosen = [connection for connection in self._reader.connections if connection.topic in wanted]
            for connection, written_ns, data in self._reader.messages(chosen, start_ns, stop_ns):
                yield connection.topic, written_ns, self._types.deserialize_cdr(data, connection.msgtype)

    def first(self, topic: str) -> Any:
        """Return the first message of a topic."""
        return next(self.messages([topic]))[2]

    def close(self) -> None:
        """Close its files."""
        self._reader.close()

    @contextlib.contextmanager
    def _named(self, what: str) -> Iterator[None]:
        try:
            yield
        except VmemError:
            raise
        # The reader meets damage wherever it happens to look: with errors of its own, of SQLite, zstd, struct ...
        except Exception as error:
            raise RecordingError(
                f"the bag {self._path} cannot be {what}: {type(error).__name__}: {error}; if it is truncated, "
                "`ros2 bag reindex` or `mcap recover` may save the rest"
            ) from error
