"""From the kind of a memory to an empty one: the one place where ``memory.kind`` is understood."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from vmem_ros.pretrained.devices import usable_device
from vmem_ros.pretrained.factories import Entry, make
from vmem_ros.protocols import Memory

DEFAULT_MEMORY = "surfel"
#: Stands for the kind that goes with an engine: that which it was made for, or :data:`DEFAULT_MEMORY`.
AUTO_MEMORY = "auto"
_OF_ENGINES = {"spatia": "points", "mirage": "latent"}

#: Memories by kind. A new one is a folder beside this file and a line here.
MEMORIES = {
    "surfel": Entry("vmem_ros.memory.surfel:SurfelMemory", "vmem_ros.memory.surfel:SurfelMemoryOptions"),
    "points": Entry("vmem_ros.memory.points:PointMemory", "vmem_ros.memory.points:PointMemoryOptions"),
    "latent": Entry("vmem_ros.memory.latent:LatentMemory", "vmem_ros.memory.latent:LatentMemoryOptions"),
}


def load_memory(kind: str = DEFAULT_MEMORY, *, device: torch.device | str = "cpu", **options: Any) -> Memory:
    """Return an empty memory.

    :param kind: one of :data:`MEMORIES`, or ``module:factory`` of your own, where ``factory(device=..., **options)``
        returns a :class:`vmem_ros.protocols.Memory` whose ``kind`` is this name.
    :param device: where its tensors live.
    :param options: fields of the options of this kind.
    :raises ModelError: an unknown kind or device, or an option that the kind does not have or that is out of range.
    """
    memory: Memory = make(MEMORIES, kind, what="memory", arguments={"device": usable_device(device)}, options=options)
    return memory


def memory_kind(kind: str, engines: Iterable[str]) -> str:
    """Return the kind of a memory for engines.

    :param kind: what :data:`AUTO_MEMORY` stands for is looked up; any other is what it is.
    :param engines: by name; where they do not agree on one, it is :data:`DEFAULT_MEMORY`.
    """
    if kind != AUTO_MEMORY:
        return kind
    kinds = {_OF_ENGINES.get(engine, DEFAULT_MEMORY) for engine in engines}
    return kinds.pop() if len(kinds) == 1 else DEFAULT_MEMORY
