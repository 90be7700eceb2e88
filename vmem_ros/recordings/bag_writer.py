"""Bags of ROS 2, written without a ROS installation.

A bag is a folder with ``<name>.mcap`` and ``metadata.yaml``: the folder plays with ``ros2 bag play``, the .mcap file
opens in Foxglove, and it carries the definition of every message type.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from vmem_ros.messages.message_types import MessageTypes

_PLUGINS = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
_NO_DEADLINE = QosTime(sec=9223372036, nsec=854775807)


#: How ``ros2 bag`` may store messages.
Storage = Literal["mcap", "sqlite3"]
_SUFFIXES = (".mcap", ".db3")


class BagWriter:
    """An open bag; a context manager. What was written is complete only after :meth:`close`.

    :param folder: of the bag; an older bag there is replaced.
    :param definitions: text of the .msg file of every type that ROS itself does not have, by ``package/msg/Name``.
    :param storage: ``mcap``, compressed, which Foxglove opens; or ``sqlite3``, as old distributions have it.
    :raises FileExistsError: the folder holds something else than a bag.
    """

    def __init__(
        self, folder: Path, *, definitions: Mapping[str, str] | None = None, storage: Storage = "mcap"
    ) -> None:
        if folder.exists():
            if any(f.suffix not in _SUFFIXES and f.name != "metadata.yaml" for f in folder.iterdir()):
                raise FileExistsError(f"{folder} holds more than a bag: choose another folder, or empty it")
            shutil.rmtree(folder)
        self._types = get_typestore(Stores.ROS2_JAZZY)
        for name, text in (definitions or {}).items():
            self._types.register(get_types_from_msg(text, name))
        #: Classes of the messages that :meth:`write_message` takes.
        self.message_types = MessageTypes.of_rosbags(self._types)
        self._writer = Writer(folder, version=9, storage_plugin=_PLUGINS[storage])
        if storage == "mcap":
            self._writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer.open()
        self._connections: dict[str, Any] = {}
        self._announced: dict[tuple[str, str], Any] = {}

    def add_topic(self, topic: str, message_type: str, *, latched: bool = False) -> None:
        """Announce a topic, e.g. ``/vmem/camera/image_raw`` of ``sensor_msgs/msg/Image``.

        Where it has another type already, what is written from now on has the new one.

        :param latched: its last message is meant for late subscribers too (transient local).
        """
        if (known := self._announced.get((topic, message_type))) is not None:
            self._connections[topic] = known
            return
        qos = Qos(
            history=QosHistory.KEEP_LAST,
            depth=1 if latched else 10,
            reliability=QosReliability.RELIABLE,
            durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
            deadline=_NO_DEADLINE,
            lifespan=_NO_DEADLINE,
            liveliness=QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=_NO_DEADLINE,
            avoid_ros_namespace_conventions=False,
        )
        self._connections[topic] = self._announced[topic, message_type] = self._writer.add_connection(
            topic, message_type, typestore=self._types, offered_qos_profiles=[qos]
        )

    def write(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append one message in CDR, as ROS sends it, received at ``stamp_ns``."""
        self._writer.write(self._connections[topic], stamp_ns, data)

    def write_message(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Append one message made of :attr:`message_types`."""
        self.write(topic, stamp_ns, self._types.serialize_cdr(message, self._connections[topic].msgtype))

    def close(self) -> None:
        """Write the index and the metadata."""
        self._writer.close()

    def __enter__(self) -> BagWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
