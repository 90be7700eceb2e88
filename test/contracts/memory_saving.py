"""State and back: everything comes back bit by bit, and a damaged file is refused and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from comparisons import differences, snapshot
from faults import failing_at, moments, operations_of
from memory_subject import VIEWS, MemorySubject, write
from memory_writing import check_same
from vmem_ros.errors import WorldFileError
from vmem_ros.protocols import Memory

_MOMENTS = 20


def check_refused(memory: Memory, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any], what: str) -> None:
    """The memory says that it cannot restore this, by name, and stays as it is."""
    before, refused = snapshot(memory), False
    try:
        memory.restore(tensors, metadata)
    except WorldFileError:
        refused = True
    assert refused, f"restored although {what}"
    assert differences(snapshot(memory), before) == [], what


class SavingContract(MemorySubject):
    """``state`` and ``restore``."""

    def saved(self) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        """Return the state of a memory with commits of several views, and views that saw the same."""
        memory = self.memory_of(VIEWS[:2])
        write(memory, [VIEWS[1], VIEWS[2]])
        memory.read([VIEWS[0].target], 2)
        return snapshot(memory)

    def other(self) -> Memory:
        """Return a memory with another content."""
        return self.memory_of(VIEWS[5:6])

    def test_everything_comes_back(self) -> None:
        tensors, metadata = self.saved()
        memory = self.other()
        memory.restore(tensors, json.loads(json.dumps(metadata)))
        assert differences(snapshot(memory), (tensors, metadata)) == []
        assert tuple(memory.commits) == (1, 1, 2)
        again = self.memory_of(VIEWS[:2])
        write(again, [VIEWS[1], VIEWS[2]])
        again.read([VIEWS[0].target], 2)
        check_same(memory, again)
        assert dict(memory.figures()) == dict(again.figures())
        for each in (memory, again):
            write(each, VIEWS[3:5])
        check_same(memory, again)
        for n in (2, 1, 1):
            for each in (memory, again):
                each.undo(n)
            check_same(memory, again)

    def test_nothing_comes_back_too(self) -> None:
        memory, new = self.other(), snapshot(self.make())
        memory.restore(*new)
        assert len(memory) == 0
        assert differences(snapshot(memory), new) == []

    def test_it_shares_no_geometry_with_what_it_was_given(self) -> None:
        """What is in the views does not change; what is beside them does."""
        tensors, metadata = self.saved()
        kept = {name: value.clone() for name, value in tensors.items()}
        memory = self.other()
        memory.restore(tensors, metadata)
        for name, tensor in tensors.items():
            if not _is_of_a_view(name):
                tensor.zero_()
        assert differences(snapshot(memory), (kept, metadata)) == []

    def test_a_label_does_not_outlive_the_file(self) -> None:
        memory = self.make()
        write(memory, VIEWS[:1], label="a")
        other = self.other()
        other.restore(*snapshot(memory))
        write(other, VIEWS[1:2], label="a")
        assert tuple(other.commits) == (1, 1)

    def test_a_restoration_that_fails_at_any_moment_leaves_no_trace(self) -> None:
        saved, memory = self.saved(), self.other()
        before = snapshot(memory)
        another = self.other()
        operations = operations_of(lambda: another.restore(*saved))
        failed = 0
        for number in moments(operations, _MOMENTS):
            if failing_at(lambda: memory.restore(*saved), number):
                failed += 1
                assert differences(snapshot(memory), before) == [], f"operation {number} of {operations}"
            else:
                memory.restore(*before)
        assert failed > _MOMENTS // 2

    def test_entries_that_are_missing(self) -> None:
        (tensors, metadata), memory = self.saved(), self.other()
        for name in tensors.keys() - self.optional_entries:
            check_refused(memory, {n: t for n, t in tensors.items() if n != name}, metadata, f"{name} is missing")

    def test_entries_that_are_cut(self) -> None:
        (tensors, metadata), memory = self.saved(), self.other()
        for name, value in tensors.items():
            if value.ndim and len(value):
                check_refused(memory, tensors | {name: value[:-1]}, metadata, f"{name} is cut")

    def test_entries_of_another_shape(self) -> None:
        (tensors, metadata), memory = self.saved(), self.other()
        for name, value in tensors.items():
            for wrong in (value[..., None], value[None]):
                check_refused(memory, tensors | {name: wrong}, metadata, f"{name} has one more axis")

    def test_entries_of_another_type(self) -> None:
        (tensors, metadata), memory = self.saved(), self.other()
        for name, value in tensors.items():
            if _is_of_a_view(name) and value.is_floating_point():
                continue  # numbers of a view may come in any precision
            wrong = value.to(torch.int16 if value.is_floating_point() else torch.float64)
            check_refused(memory, tensors | {name: wrong}, metadata, f"{name} is {wrong.dtype}")

    def test_numbers_that_cannot_be(self) -> None:
        (tensors, metadata), memory = self.saved(), self.other()
        for name, value in tensors.items():
            if _is_of_a_view(name) and not name.endswith(("/K", "/T_world_camera")):
                continue
            # Of these any number can be.
            if value.dtype in (torch.bool, torch.uint8) or not value.numel():
                continue
            ends = None if value.is_floating_point() else torch.iinfo(value.dtype)
            for wrong in (torch.nan, 1e30) if ends is None else (ends.min, ends.max):
                for place in (0, -1):
                    damaged = value.clone()
                    damaged.view(-1)[place] = wrong
                    check_refused(memory, tensors | {name: damaged}, metadata, f"{name}[{place}] is {wrong}")

    def test_metadata_that_cannot_be(self) -> None:
        (tensors, metadata), memory = self.saved(), self.other()
        views = metadata["views"]
        wrong: list[Any] = [None, {}, [], views[:-1], [*views, views[0]], ["view"] * 4, [{}] * 4]
        wrong += [[views[0] | change, *views[1:]] for change in _DAMAGED_VIEWS]
        for each in wrong:
            check_refused(memory, tensors, metadata | {"views": each}, f"views are {each}")
        check_refused(memory, tensors, {}, "there is no metadata")


def _is_of_a_view(name: str) -> bool:
    """Tell whether an entry is ``views/<number>/<field>``."""
    return name.startswith("views/") and name.split("/")[1].isdigit()


_DAMAGED_VIEWS = (
    {"width": "wide"}, {"width": 7}, {"width": float("inf")}, {"height": None}, {"stamp_ns": None}, {"source": "dream"},
)  # fmt: skip
