"""What the world remembers: what every memory shares, and one folder for each kind."""

from vmem_ros.memory.registry import DEFAULT_MEMORY, MEMORIES, load_memory
from vmem_ros.memory.versions import MemoryVersion

__all__ = ["DEFAULT_MEMORY", "MEMORIES", "MemoryVersion", "load_memory"]
