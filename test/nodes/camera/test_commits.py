"""Which views are taken back together."""

from __future__ import annotations

import itertools
from pathlib import Path
from weakref import WeakKeyDictionary, ref

from rooms import box_view
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory.surfel import SurfelMemoryConfig
from vmem_ros.nodes.camera.commits import CommitLog
from vmem_ros.types import View
from vmem_ros.world import World, default_world

CAMERA = Camera.from_fov(32, 24, 80)


def empty_world(*, max_views: int | None = None) -> World:
    return default_world(memory=SurfelMemoryConfig(max_views=max_views))


def store(world: World, log: CommitLog, owner: object, count: int = 1) -> None:
    for _ in range(count):
        world.observe(box_view(CAMERA, look_at((-1, 0.01 * len(world), 0), (3, 0, 0))))
        log.add(owner)


def following(world: World) -> CommitLog:
    log = CommitLog()
    log.follow(world)
    return log


def taken_back(world: World, log: CommitLog) -> list[int]:
    """Return how many views each undo takes back until nothing is left."""
    out = []
    while len(world):
        out.append(log.last)
        world.undo(log.last)
    return out


def test_consecutive_views_of_one_owner_are_one_commit() -> None:
    world, request = empty_world(), object()
    log = following(world)
    store(world, log, "seed")
    store(world, log, request, 4)
    log.add("seed 2")  # without a view that is new
    store(world, log, request, 2)
    store(world, log, "seed 3")
    store(world, log, request)
    assert taken_back(world, log) == [1, 1, 6, 1]
    assert log.last == 1


def test_a_commit_that_was_taken_back_is_not_continued() -> None:
    world, request = empty_world(), object()
    log = following(world)
    store(world, log, request, 3)
    world.undo(log.last)
    store(world, log, request, 2)
    assert log.last == 2


def test_views_that_were_evicted_are_not_taken_back_twice() -> None:
    """Whichever views a bounded memory forgets, an undo takes those of one commit, and only those that are left."""
    world = empty_world(max_views=5)
    log = following(world)
    owners: WeakKeyDictionary[View, str] = WeakKeyDictionary()
    for owner, count in {"a": 3, "b": 4, "c": 1, "d": 2}.items():
        for _ in range(count):
            store(world, log, owner)
            owners[world.memory.views[-1]] = owner
    left = [owners[view] for view in world.memory.views]
    assert len(left) <= 5
    expected = [len(list(group)) for _, group in itertools.groupby(reversed(left))]
    assert taken_back(world, log) == expected


def test_loaded_views_are_taken_back_one_by_one(tmp_path: Path) -> None:
    world = empty_world()
    log = following(world)
    store(world, log, "a", 3)
    world.save(tmp_path / "world")
    world.load(tmp_path / "world")
    log.follow(world)
    store(world, log, "b", 2)
    assert taken_back(world, log) == [2, 1, 1, 1]


def test_keeps_no_view_alive() -> None:
    world = empty_world()
    log = following(world)
    store(world, log, "a")
    view = ref(world.memory.views[0])
    world.reset()
    assert view() is None
