"""Bounds: what is forgotten, what stays, and that everything still fits together afterwards."""

from __future__ import annotations

import pytest
import torch

from comparisons import differences, snapshot
from memory_subject import TARGETS, VIEWS, MemorySubject, write
from memory_writing import check_same


class BoundsContract(MemorySubject):
    """A memory that keeps so many views at most; skipped where there are no bounds."""

    @pytest.mark.parametrize("most", [1, 3, 6])
    def test_no_more_views_than_allowed(self, most: int) -> None:
        memory = self.bounded(most)
        for view in VIEWS:
            write(memory, [view])
            assert len(memory) <= most
            assert sum(memory.commits) == len(memory)
            assert torch.equal(memory.views[-1].image, view.image), "the view just written was forgotten"
        copy = self.bounded(most)
        copy.restore(*snapshot(memory))
        check_same(memory, copy)
        for each in (memory, copy):
            write(each, VIEWS[3:4])
        check_same(memory, copy)

    def test_nothing_is_forgotten_below_the_bound(self) -> None:
        memory = self.bounded(5)
        for view in VIEWS[:5]:
            write(memory, [view])
        assert differences(snapshot(memory), snapshot(self.memory_of(VIEWS[:5]))) == []

    def test_a_write_larger_than_the_bound_stays_whole(self) -> None:
        memory = self.bounded(2)
        write(memory, VIEWS[:5])
        assert len(memory) == 5
        write(memory, VIEWS[5:6])
        assert len(memory) == 2

    def test_forgetting_can_be_put_off(self) -> None:
        memory = self.bounded(2)
        for view in VIEWS[:4]:
            write(memory, [view], evict=False)
        assert len(memory) == 4
        write(memory, VIEWS[4:5])
        assert len(memory) == 2

    def test_what_was_asked_for_stays(self) -> None:
        memory = self.bounded(6)
        for view in VIEWS[:6]:
            write(memory, [view])
        for _ in range(5):
            memory.read([VIEWS[0].target], 1)
        write(memory, VIEWS[6:7])
        assert any(torch.equal(v.image, VIEWS[0].image) for v in memory.views)

    def test_reading_without_record_changes_nothing_of_that(self) -> None:
        one, other = self.bounded(6), self.bounded(6)
        for memory in (one, other):
            for view in VIEWS[:6]:
                write(memory, [view])
        for _ in range(5):
            one.read(TARGETS, 2, record=False)
        for memory in (one, other):
            write(memory, VIEWS[6:8])
        check_same(one, other)

    def test_undo_afterwards_is_exact(self) -> None:
        memory = self.bounded(4)
        for view in VIEWS:
            write(memory, [view])
        before = snapshot(memory)
        write(memory, VIEWS[2:4], evict=False)
        memory.undo(1)
        assert differences(snapshot(memory), before) == []
        while len(memory):
            memory.undo(1)
        assert differences(snapshot(memory), snapshot(self.make())) == []
