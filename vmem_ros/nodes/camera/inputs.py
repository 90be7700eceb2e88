"""What comes in, whether it is used, and why not: counted, told once with a remedy, shown in status and diagnostics."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rclpy.node import Node

from vmem_ros.nodes.interface.names import message_type_name
from vmem_ros.nodes.interface.subscription import UNKNOWN, Subscribed

#: What is told once, and in which words that say what to do; the words may change with figures in them.
Problem = tuple[str, str]

# A problem that ends and comes back is logged so often at most.
_AGAIN_S = 60.0
# How long what was refused counts as a problem.
_RECENT_S = 5.0


@dataclass
class Input:
    """One topic that the node listens to.

    :param unused: messages that came and changed nothing, for whatever reason but a camera that has not moved.
    """

    subscribed: Subscribed
    received: int = 0
    unused: int = 0
    refused_s: float = -math.inf
    refusal: str = ""


class Inputs:
    """All topics that the node listens to, by the names of the interface table.

    :param node: asked who publishes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._inputs: dict[str, Input] = {}
        self._watchers: list[Callable[[], Iterable[Problem]]] = [self._of_other_types, self._refused]
        self._told: dict[str, float] = {}
        #: What is wrong at present, in words that say what to do; empty is the normal case.
        self.problems: tuple[str, ...] = ()

    def add(self, name: str, subscribed: Subscribed) -> None:
        """Count what comes on a topic."""
        self._inputs[name] = Input(subscribed)

    def watch(self, watcher: Callable[[], Iterable[Problem]]) -> None:
        """Ask ``watcher()`` for problems whenever :meth:`look` is called."""
        self._watchers.append(watcher)

    def received(self, name: str) -> None:
        """A message came."""
        if name in self._inputs:
            self._inputs[name].received += 1

    def unused(self, name: str, why: str = "", *, times: int = 1) -> None:
        """A message that came, or several, changed nothing; ``why`` makes it a problem for a while."""
        if name not in self._inputs:
            return
        found = self._inputs[name]
        found.unused += times
        if why:
            found.refused_s, found.refusal = time.monotonic(), why

    def counts(self) -> list[tuple[str, int, int]]:
        """Return the full name of each topic, how many messages came, and how many of them changed nothing."""
        return [(i.subscribed.name, i.received, i.unused) for i in self._inputs.values()]

    def count(self, name: str) -> int:
        """Return how many messages came."""
        return self._inputs[name].received

    def publishers(self, name: str) -> list[str]:
        """Return the nodes that publish a topic in the type that is heard."""
        subscribed = self._inputs[name].subscribed
        infos = self._node.get_publishers_info_by_topic(subscribed.name)
        return sorted({i.node_name for i in infos if i.topic_type == message_type_name(subscribed.message_type)})

    def full_name(self, name: str) -> str:
        """Return what a topic is called after remapping."""
        return self._inputs[name].subscribed.name

    def others_of_type(self, name: str) -> list[str]:
        """Return other topics on which what a topic should carry is published, but for this node's own."""
        subscribed = self._inputs[name].subscribed
        wanted = message_type_name(subscribed.message_type)
        heard = {i.subscribed.name for i in self._inputs.values()}
        own = {each.topic_name for each in self._node.publishers}
        topics = self._node.get_topic_names_and_types()
        return sorted(t for t, kinds in topics if wanted in kinds and t not in heard | own)

    def look(self) -> bool:
        """Ask all watchers, log what is new, and return whether something has changed."""
        problems = dict(problem for watcher in self._watchers for problem in watcher())
        now = time.monotonic()
        for key, text in problems.items():
            self.tell(key, text)
            self._told[key] = now
        # What was told long ago may be told again: it need not be remembered.
        self._told = {key: at for key, at in self._told.items() if now - at < _AGAIN_S}
        before, self.problems = self.problems, tuple(problems.values())
        return self.problems != before

    def tell(self, key: str, text: str) -> None:
        """Log a problem now, unless it lasts or was told a moment ago."""
        if key not in self._told:
            self._told[key] = time.monotonic()
            self._node.get_logger().warning(text)

    def _of_other_types(self) -> Iterable[Problem]:
        for name, each in self._inputs.items():
            subscribed = each.subscribed
            for info in self._node.get_publishers_info_by_topic(subscribed.name):
                if info.topic_type not in subscribed.types and info.node_name != UNKNOWN:
                    yield (
                        f"{name} as {info.topic_type}",
                        f"{subscribed.name}: {info.node_name} publishes {info.topic_type}, and "
                        f"{' or '.join(subscribed.types)} is heard: nothing of it arrives; remap a topic of that type",
                    )

    def _refused(self) -> Iterable[Problem]:
        """What was refused a moment ago; the log has it already, from where it was refused."""
        now = time.monotonic()
        for name, each in self._inputs.items():
            if now - each.refused_s < _RECENT_S:
                key = f"{name} refused"
                self._told.setdefault(key, now)
                yield key, f"{name}: {each.refusal}"
            if each.subscribed.refused:
                key = f"{name} policy"
                self._told.setdefault(key, now)
                yield key, each.subscribed.refused
