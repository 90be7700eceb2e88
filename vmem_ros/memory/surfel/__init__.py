"""VMem's memory: stored views, indexed by the surfels that they saw."""

from vmem_ros.memory.surfel.memory import Detail, SurfelMemory, SurfelMemoryOptions
from vmem_ros.memory.surfel.retrieval import Selection
from vmem_ros.memory.surfel.surfels import SurfelCloud

__all__ = ["Detail", "Selection", "SurfelCloud", "SurfelMemory", "SurfelMemoryOptions"]
