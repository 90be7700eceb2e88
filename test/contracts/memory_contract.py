"""What every memory must do: subclass :class:`MemoryContract`, say how to make yours, and run pytest.

    from memory_contract import MemoryContract

    class TestMyMemory(MemoryContract):
        def make(self):
            return load_memory("my_package:MyMemory")

Worlds over a memory have a contract of their own, :mod:`world_contract`.
"""

from memory_bounds import BoundsContract
from memory_editing import EditingContract
from memory_places import PlaceContract
from memory_reading import EmptyContract, ReadingContract
from memory_saving import SavingContract
from memory_writing import CommitContract, ProvenanceContract, WritingContract


class MemoryContract(
    EmptyContract,
    ReadingContract,
    WritingContract,
    CommitContract,
    ProvenanceContract,
    SavingContract,
    PlaceContract,
    BoundsContract,
    EditingContract,
):
    """All of it."""
