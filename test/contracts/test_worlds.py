"""Worlds over each memory of the package keep the contract."""

from vmem_ros.memory import load_memory
from vmem_ros.protocols import Memory
from world_contract import WorldContract


class TestSurfels(WorldContract):
    def make(self) -> Memory:
        return load_memory("surfel")

    def bounded(self, max_views: int) -> Memory:
        return load_memory("surfel", max_views=max_views)


class TestPoints(WorldContract):
    def make(self) -> Memory:
        return load_memory("points", voxel=0.1)

    def bounded(self, max_views: int) -> Memory:
        return load_memory("points", voxel=0.1, max_views=max_views)


class TestLatents(WorldContract):
    def make(self) -> Memory:
        return load_memory("latent")

    def bounded(self, max_views: int) -> Memory:
        return load_memory("latent", max_views=max_views)
