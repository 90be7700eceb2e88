"""Editing of worlds: from what is to be removed, as users say it, to an edit of the memory."""

from __future__ import annotations

from collections.abc import Sequence

from vmem_ros.edits import Edit, Edited, Region, UnderMask
from vmem_ros.errors import InvalidEditError, NotSeededError
from vmem_ros.memory import MemoryVersion
from vmem_ros.types import Elements


def edit_version(version: MemoryVersion, remove: Sequence[Region | UnderMask], add: Elements | None) -> Edited:
    """Edit a version of a memory. What lies under a mask is as far away as the memory shows it before the edit.

    :raises NotSeededError: nothing is remembered yet.
    :raises InvalidEditError: a region or the cloud is none, there is nothing to remove or to add, or the memory cannot
        be edited.
    """
    memory = version.memory
    if not len(memory):
        raise NotSeededError("the world has no view yet, so there is nothing to edit: seed it first")
    if not isinstance(remove, Sequence):
        raise InvalidEditError(f"remove must be a list of regions, got {type(remove).__name__}")
    regions = tuple(
        each.at(memory.project(each.target).depth) if isinstance(each, UnderMask) else each for each in remove
    )
    return version.edit(Edit(regions, add))
