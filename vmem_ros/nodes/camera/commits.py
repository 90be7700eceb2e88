"""What one undo takes back: the views of one request, or one observed view. Belongs to the worker's thread."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from weakref import WeakKeyDictionary

from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.types import View
from vmem_ros.world import World


class CommitLog:
    """Which commit each stored view belongs to; a bounded memory forgets views of any of them."""

    def __init__(self) -> None:
        self._world: World | None = None
        self._commits: WeakKeyDictionary[View, object] = WeakKeyDictionary()
        self._owner: object | None = None
        self._commit = object()

    def follow(self, world: World | None) -> None:
        """Start anew with a world, or with none; each view that it holds already is a commit of its own."""
        self._world, self._owner = world, None
        self._commits = WeakKeyDictionary({view: object() for view in self._stored()})

    def add(self, owner: object) -> None:
        """Note who stored the newest views; consecutive ones of one owner make one commit."""
        new = list(takewhile(lambda view: view not in self._commits, reversed(self._stored())))
        if new and owner is not self._owner:
            self._owner, self._commit = owner, object()
        for view in new:
            self._commits[view] = self._commit

    @property
    def last(self) -> int:
        """How many views of the newest commit are stored; 1 where none is."""
        commits = [self._commits.get(view) for view in reversed(self._stored())]
        return max(1, sum(1 for _ in takewhile(lambda commit: commit is commits[0], commits)))

    def _stored(self) -> Sequence[View]:
        memory = self._world.memory if self._world is not None else None
        return memory.views if isinstance(memory, SurfelMemory) else ()
