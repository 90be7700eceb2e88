"""The memories of the package keep the contract."""

from collections.abc import Sequence
from typing import Any

from torch.nn.functional import avg_pool2d

from memory_bounds import BoundsContract
from memory_contract import MemoryContract
from memory_reading import ReadingContract
from memory_saving import SavingContract
from memory_subject import MemorySubject
from memory_writing import CommitContract, ProvenanceContract, WritingContract
from vmem_ros.memory import load_memory
from vmem_ros.memory.latent import LatentMemory, LatentMemoryOptions
from vmem_ros.protocols import Memory
from vmem_ros.types import View


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


class TestLatents(MemoryContract):
    """Views without latents: what is shown are their own pixels."""

    def make(self) -> Memory:
        return load_memory("latent")

    def bounded(self, max_views: int) -> Memory:
        return load_memory("latent", max_views=max_views)


class _WithLatents(LatentMemory):
    """Gives every view that is written a latent: its colours, four pixels a cell."""

    def write(self, views: Sequence[View], *args: Any, **options: Any) -> None:
        super().write([view if view.latent is not None else _with_latent(view) for view in views], *args, **options)


def _with_latent(view: View) -> View:
    return view.having(latent=avg_pool2d(view.image.permute(2, 0, 1).float(), 4, ceil_mode=True))


class TestLatentsOfAllViews(
    ReadingContract, WritingContract, CommitContract, ProvenanceContract, SavingContract, BoundsContract
):
    """Every view that is written comes with a latent."""

    # Latents of another model are left out when a world is loaded.
    optional_entries = MemorySubject.optional_entries | {f"views/{number}/latent" for number in range(4)}

    def make(self) -> Memory:
        return _WithLatents()

    def bounded(self, max_views: int) -> Memory:
        return _WithLatents(LatentMemoryOptions(max_views=max_views))
