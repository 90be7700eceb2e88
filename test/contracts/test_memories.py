"""The memories of the package keep the contract."""

from memory_bounds import BoundsContract
from memory_contract import MemoryContract
from memory_reading import ReadingContract
from memory_writing import CommitContract, ProvenanceContract, WritingContract
from vmem_ros.memory import load_memory
from vmem_ros.protocols import Memory


class TestSurfels(MemoryContract):
    def make(self) -> Memory:
        return load_memory("surfel")

    def bounded(self, max_views: int) -> Memory:
        return load_memory("surfel", max_views=max_views)


class TestSurfelColours(ReadingContract, ProvenanceContract):
    """Projections filled with the colours of surfels instead of stored pixels."""

    least_psnr_db = 18.0

    def make(self) -> Memory:
        return load_memory("surfel", detail="surfels")


class TestPoints(MemoryContract):
    def make(self) -> Memory:
        return load_memory("points")

    def bounded(self, max_views: int) -> Memory:
        return load_memory("points", max_views=max_views)


class TestCoarsePoints(WritingContract, CommitContract, ProvenanceContract, BoundsContract):
    """Voxels wider than pixels: views meet in all of them."""

    def make(self) -> Memory:
        return load_memory("points", voxel=0.2)

    def bounded(self, max_views: int) -> Memory:
        return load_memory("points", voxel=0.2, max_views=max_views)
