"""What the world remembers: views, the surfels that index them, reading, writing, undo and saving."""

from vmem_ros.memory.retrieval import Selection
from vmem_ros.memory.surfel_memory import Detail, SurfelMemory, SurfelMemoryConfig
from vmem_ros.memory.surfels import SurfelCloud

__all__ = ["Detail", "Selection", "SurfelCloud", "SurfelMemory", "SurfelMemoryConfig"]
