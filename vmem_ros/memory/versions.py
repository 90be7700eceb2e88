"""Versions of one memory that share everything but what was added to each: how worlds branch.

One memory holds one version at a time. Whoever holds another one gets it by going there: commits are undone back to the
last one that both versions share, and those of the wanted version are written again. Undo is exact bit by bit and
writing is deterministic, so a version that comes back is the one that left. A branch costs what is added to it, and
going to and fro between versions costs what they do not share; what they share costs nothing, however much it is.
(Arrays with versions that re-root themselves are H. G. Baker's, Shallow Binding Makes Functional Arrays Fast, 1991.)
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from vmem_ros.edits import Edit, Edited
from vmem_ros.errors import InvalidEditError
from vmem_ros.protocols import Editable, Memory
from vmem_ros.types import PointMap, View

#: Numbers for labels that no other commit has.
_NUMBERS = itertools.count()


@dataclass(eq=False)
class _Version:
    """A commit that can be written again, on top of another version; without ``parent`` where the branches began."""

    parent: _Version | None
    label: str = ""
    #: Label by which the memory knows the commit: no other commit of a version has it.
    own_label: str = ""
    writes: list[tuple[tuple[View, ...], tuple[PointMap, ...]]] = field(default_factory=list)
    #: What it is instead of writes.
    edit: Edit | None = None
    depth: int = 0
    #: Nothing is added to it any more: another version may stand on it.
    closed: bool = False


class _Shared:
    """A memory, the version that it holds, and who holds which."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.current = _Version(None, closed=True)
        self.holders: weakref.WeakSet[MemoryVersion] = weakref.WeakSet()

    @property
    def branched(self) -> bool:
        """Whether there is more than one version that somebody holds."""
        return len(self.holders) > 1

    def go_to(self, version: _Version) -> None:
        """Make the memory hold a version."""
        missing: list[_Version] = []
        here, there = self.current, version
        while here is not there:
            if here.depth >= there.depth and here.parent is not None:
                self.memory.undo(1)
                here = self.current = here.parent
            else:
                missing.append(there)
                assert there.parent is not None, "all versions of one memory have one root"
                there = there.parent
        for each in reversed(missing):
            self._write_again(each)
            self.current = each

    def _write_again(self, version: _Version) -> None:
        """Write a version whose parent the memory holds: all of it, or on any error nothing."""
        if version.edit is not None:
            editable(self.memory).edit(version.edit)
            return
        written = False
        try:
            for views, maps in version.writes:
                self.memory.write(views, maps, label=version.own_label, evict=False)
                written = True
        except BaseException:
            if written:
                self.memory.undo(1)
            raise


def editable(memory: Memory) -> Editable:
    """Return the memory, if it can be edited.

    :raises InvalidEditError: it cannot.
    """
    if not isinstance(memory, Editable):
        raise InvalidEditError(
            f"a memory of kind {memory.kind!r} cannot be edited: use one that can, such as 'surfel' or "
            "'points' (node: memory.kind, command line: --memory)"
        )
    return memory


class MemoryVersion:
    """One version of a memory: what a world holds.

    Versions of one memory belong to one thread.

    :param memory: nobody else writes to it from now on.
    """

    def __init__(self, memory: Memory) -> None:
        self._shared = _Shared(memory)
        self._version = self._shared.current
        self._shared.holders.add(self)

    @property
    def memory(self) -> Memory:
        """The memory, holding this version: to read. Valid until another version is asked for."""
        shared = self._shared
        if shared.current is not self._version:
            shared.go_to(self._version)
        if not shared.branched and shared.current.parent is not None:
            # Nobody can ask for another version any more, so nothing needs to be written again. But a run goes on.
            last = self._version
            shared.current = self._version = _Version(None, last.label, last.own_label, closed=True)
        return shared.memory

    @property
    def branched(self) -> bool:
        """Whether another version shares this one's memory."""
        return self._shared.branched

    def branch(self) -> MemoryVersion:
        """Return another version, equal until one of both changes; costs nothing by itself.

        A commit that both share is not extended any more: what is added to it in one of them is a commit of its own.
        """
        self._version.closed = True
        other = object.__new__(MemoryVersion)
        other._shared, other._version = self._shared, self._version
        self._shared.holders.add(other)
        return other

    def write(self, views: Sequence[View], maps: Sequence[PointMap], *, label: str) -> None:
        """Store views in this version; see :meth:`vmem_ros.protocols.Memory.write`."""
        memory, shared = self.memory, self._shared
        if not views or not shared.branched:
            known_as = self._version.own_label if label and self._version.label == label else ""
            memory.write(views, maps, label=known_as or label)
            return
        before = self._version
        if before.closed or not label or before.label != label:
            version = _Version(before, label, f"version {next(_NUMBERS)}", depth=before.depth + 1)
        else:
            version = before
        # As they are now: whoever made the views and maps may fill the same buffers anew.
        kept = tuple(each.on(memory.device, copy=True) for each in maps)
        # Bounds wait until there is one version again: what is forgotten cannot be undone.
        memory.write(views, maps, label=version.own_label, evict=False)
        version.writes.append((tuple(memory.views[-len(views) :]), kept))
        before.closed = True
        version.closed = False
        self._version = shared.current = version

    def edit(self, edit: Edit) -> Edited:
        """Edit this version; see :meth:`vmem_ros.protocols.Editable.edit`.

        :raises InvalidEditError: the memory cannot be edited.
        """
        memory, shared = editable(self.memory), self._shared
        # As it is now: whoever made the cloud may fill the same buffers anew.
        edit = edit.copied()
        done = memory.edit(edit)
        before = self._version
        before.closed = True
        if shared.branched:
            version = _Version(before, edit=edit, depth=before.depth + 1, closed=True)
            self._version = shared.current = version
        return done

    def undo(self, n: int) -> None:
        """Undo the last ``n`` commits of this version; see :meth:`vmem_ros.protocols.Memory.undo`."""
        memory = self.memory
        back = self._version
        own = 0
        while own < n and back.parent is not None:
            back, own = back.parent, own + 1
        if own < n <= len(memory.commits) and self._shared.branched:
            # What other versions stand on is not to go.
            self._separate(memory)
            memory = self._shared.memory
            back = self._shared.current
        memory.undo(n)
        self._version = self._shared.current = back
        back.closed = True

    def release(self) -> None:
        """Give this version up: it is not to be used any more, and others need not care for it."""
        self._shared.holders.discard(self)

    def clear(self) -> None:
        """Forget everything of this version."""
        memory = self.memory
        if self._shared.branched:
            self._leave(memory.empty_copy())
        else:
            memory.clear()

    def restore(self, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
        """Replace this version; see :meth:`vmem_ros.protocols.Memory.restore`."""
        memory = self.memory
        if self._shared.branched:
            fresh = memory.empty_copy()
            fresh.restore(tensors, metadata)
            self._leave(fresh)
        else:
            memory.restore(tensors, metadata)

    def _separate(self, memory: Memory) -> None:
        """Give this version a memory of its own with the same content."""
        copy = memory.empty_copy()
        tensors, metadata = memory.state()
        copy.restore({name: tensor.clone() for name, tensor in tensors.items()}, metadata)
        self._leave(copy)

    def _leave(self, memory: Memory) -> None:
        self._shared.holders.discard(self)
        self._shared = _Shared(memory)
        self._version = self._shared.current
        self._shared.holders.add(self)
