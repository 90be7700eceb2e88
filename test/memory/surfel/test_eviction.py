"""Bounds: what is forgotten, what stays, and that everything still fits together afterwards."""

import pytest
import torch

from memories import CAMERA, differences, memory_of, same_projection, snapshot, views_at, write
from rooms import orbit
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryOptions
from vmem_ros.types import Target

VIEWS = views_at(orbit(16), Camera.from_fov(40, 30, 80), panel=True)


def check_consistent(memory: SurfelMemory) -> None:
    """Every pair names a surfel, every surfel has a view, and what was derived equals what a restored copy derives."""
    tensors, metadata = snapshot(memory)
    copy = SurfelMemory(memory.config)
    copy.restore(tensors, metadata)
    assert differences(snapshot(copy), (tensors, metadata)) == []
    named = tensors["observations/surfel"].unique()
    assert torch.equal(named.long(), torch.arange(memory.n_surfels))
    target = Target(CAMERA, orbit(32)[5])
    assert same_projection(memory.project(target), copy.project(target))
    a, b = (m.read([target], 4) for m in (memory, copy))
    assert a.indices == b.indices
    for each in (memory, copy):
        write(each, VIEWS[3:4])
    assert differences(snapshot(memory), snapshot(copy)) == []


class TestBounds:
    @pytest.mark.parametrize("most", [1, 5, 12])
    def test_max_views(self, most):
        memory = memory_of(VIEWS, max_views=most)
        assert len(memory) <= most
        assert torch.equal(memory.views[-1].image, VIEWS[-1].image), "the view just written was forgotten"
        check_consistent(memory)

    def test_max_surfels(self):
        unbounded = memory_of(VIEWS)
        most = unbounded.n_surfels // 2
        memory = memory_of(VIEWS, max_surfels=most)
        assert 0 < memory.n_surfels <= most
        assert 1 < len(memory) < len(VIEWS)
        check_consistent(memory)

    def test_a_chunk_larger_than_the_bound_stays_whole(self):
        memory = SurfelMemory(SurfelMemoryOptions(max_views=2))
        write(memory, VIEWS[:5])
        assert len(memory) == 5
        write(memory, VIEWS[5:6])
        assert len(memory) == 2

    def test_off_by_default(self):
        assert len(memory_of([VIEWS[0]] * 20)) == 20

    def test_nothing_is_forgotten_below_the_bound(self):
        bounded, free = memory_of(VIEWS[:6], max_views=6), memory_of(VIEWS[:6])
        assert differences(snapshot(bounded), snapshot(free)) == []


class TestChoice:
    def test_the_last_steps_of_a_walk_are_remembered(self):
        """What was asked for long ago must not win over what is asked for now."""
        memory = memory_of(VIEWS[:8], max_views=8)
        for _ in range(10):
            memory.read([VIEWS[2].target], 4)
        for view in VIEWS[8:]:
            memory.read([view.target], 4)
            write(memory, [view])
        kept = [v.T_world_camera for v in memory.views]
        assert sum(any(torch.equal(T, view.T_world_camera) for T in kept) for view in VIEWS[-4:]) >= 3

    def test_a_camera_that_only_looks_is_remembered(self):
        memory = memory_of(VIEWS[:4], max_views=8)
        for _ in range(10):
            memory.read([VIEWS[1].target], 4)
        for view in VIEWS[4:]:
            write(memory, [view])
        kept = [v.T_world_camera for v in memory.views]
        assert sum(any(torch.equal(T, view.T_world_camera) for T in kept) for view in VIEWS[-4:]) >= 3

    def test_the_least_voted_go_first(self):
        memory = memory_of(VIEWS[:6], max_views=6)
        for _ in range(3):
            memory.read([VIEWS[0].target], 2)
            memory.read([VIEWS[4].target], 2)
        votes = memory.state()[0]["views/popularity"].clone()
        least = int(votes.argmin())
        assert votes[least] < votes.sort().values[1]
        write(memory, VIEWS[10:11])
        kept = [v.T_world_camera for v in memory.views]
        assert len(kept) == 6
        assert not any(torch.equal(T, VIEWS[least].T_world_camera) for T in kept)

    def test_surfels_that_others_saw_too_stay(self):
        """The same view twice: forgetting the first takes no surfel away."""
        once = memory_of([VIEWS[0]])
        memory = memory_of([VIEWS[0], VIEWS[0]], max_views=1)
        assert len(memory) == 1
        assert memory.n_surfels == once.n_surfels


class TestUndoAfterwards:
    def test_is_exact(self):
        """Down to nothing, one by one: what is left is always the beginning of what there was."""
        memory = memory_of(VIEWS, max_views=8)
        whole = snapshot(memory)[0]
        while len(memory) > 1:
            memory.undo(1)
            now, n, views = snapshot(memory)[0], memory.n_surfels, len(memory)
            for name in ("position", "normal", "radius", "color", "provenance"):
                assert torch.equal(now[f"surfels/{name}"], whole[f"surfels/{name}"][:n])
            pairs = int(whole["observations/offset"][views])
            assert torch.equal(now["observations/surfel"], whole["observations/surfel"][:pairs])
            assert torch.equal(now["observations/surfel"].unique().long(), torch.arange(n))
            assert torch.equal(now["views/born"], whole["views/born"][: views + 1])
        memory.undo(1)
        assert differences(snapshot(memory), snapshot(SurfelMemory())) == []
