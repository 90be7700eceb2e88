"""What the world remembers: what every memory shares, and one folder for each kind."""

from vmem_ros.memory.registry import AUTO_MEMORY, DEFAULT_MEMORY, MEMORIES, load_memory, memory_kind
from vmem_ros.memory.versions import MemoryVersion

__all__ = ["AUTO_MEMORY", "DEFAULT_MEMORY", "MEMORIES", "MemoryVersion", "load_memory", "memory_kind"]
