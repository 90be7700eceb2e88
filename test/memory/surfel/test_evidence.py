"""Surfels that cameras look through fade; walls stay; everything can be undone, saved and forgotten."""

import dataclasses

import pytest
import torch

from memories import CAMERA, differences, memory_of, snapshot, views_at, write
from rooms import box_view, orbit
from vmem_ros.errors import WorldFileError
from vmem_ros.geometry import look_at
from vmem_ros.memory.observations import Observations
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.memory.surfel.evidence import Evidence
from vmem_ros.types import Target, View

# Three places beside each other that look at one wall.
POSES = torch.stack([look_at((-0.5, 0.1 * k - 0.3, 0), (2, 0.1 * k - 0.3, 0)) for k in range(7)])
WALL = [box_view(CAMERA, T) for T in POSES]
SOMEBODY_M = 1.0


def with_somebody(view: View) -> View:
    """Somebody stands before the wall: red, and about half as far."""
    image, depth = view.image.clone(), view.depth.clone()
    here = (slice(10, 40), slice(24, 40))
    image[here] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    depth[here] = SOMEBODY_M
    return dataclasses.replace(view, image=image, depth=depth)


def is_red(image: torch.Tensor) -> torch.Tensor:
    return (image[..., 0] > 200) & (image[..., 1] < 60)


def ghosts(memory: SurfelMemory) -> int:
    """Return how many elements stand well before the wall."""
    return int((memory.elements().position[:, 0] < 0.75).logical_and(is_red(memory.elements().color)).sum())


class TestGhosts:
    def test_somebody_who_walked_by_fades(self):
        memory = memory_of([with_somebody(WALL[0])])
        assert ghosts(memory) > 20
        for view in WALL[1:4]:
            write(memory, [view])
        assert ghosts(memory) == 0
        assert not is_red(memory.project(Target(CAMERA, POSES[5])).image).any()

    def test_what_is_left_keeps_its_number(self):
        memory = memory_of([with_somebody(WALL[0]), *WALL[1:4]])
        cloud, shown = memory.elements(), memory.project(Target(CAMERA, POSES[5]))
        assert int(cloud.number.max()) + 1 > len(cloud)
        ids = shown.ids[shown.ids >= 0]
        place = torch.searchsorted(cloud.number, ids)
        assert torch.equal(cloud.number[place], ids)
        assert (cloud.position[place][:, 0] > 1).all()

    def test_one_odd_reading_is_not_enough(self):
        memory = memory_of([with_somebody(WALL[0])])
        write(memory, [WALL[1]])
        assert ghosts(memory) > 20

    def test_walls_survive_who_stands_before_them_and_odd_readings(self):
        memory = memory_of(WALL)
        n = memory.n_surfels
        odd = dataclasses.replace(WALL[3], depth=torch.where(WALL[3].depth > 1, WALL[3].depth * 1.5, WALL[3].depth))
        for view in (with_somebody(WALL[2]), odd):
            write(memory, [view])
        wall = memory._index.refuted[:n]
        assert wall.float().mean() < 0.02

    def test_nobody_is_refuted_by_pixels_without_depth(self):
        memory = memory_of([with_somebody(WALL[0])])
        for view in WALL[1:5]:
            depth = torch.full_like(view.depth, 9.0)
            depth[:, 10:54] = torch.nan
            write(memory, [dataclasses.replace(view, depth=depth)])
        assert ghosts(memory) > 20

    def test_looking_at_nothing_refutes(self):
        memory = memory_of([with_somebody(WALL[0])])
        for view in WALL[1:4]:
            write(memory, [dataclasses.replace(view, depth=torch.full_like(view.depth, torch.inf))])
        assert ghosts(memory) == 0

    def test_who_comes_back_is_seen_at_once(self):
        memory = memory_of([with_somebody(WALL[0]), *WALL[1:6]])
        assert ghosts(memory) == 0
        write(memory, [with_somebody(WALL[6])])
        assert ghosts(memory) > 20

    def test_one_camera_refutes_what_was_imagined(self):
        memory = memory_of([dataclasses.replace(with_somebody(WALL[0]), source="generated")])
        assert ghosts(memory) > 20
        write(memory, [WALL[1]])
        assert ghosts(memory) == 0

    def test_what_is_imagined_refutes_nothing(self):
        memory = memory_of([with_somebody(WALL[0])])
        for view in WALL[1:5]:
            write(memory, [dataclasses.replace(view, source="generated")])
        assert ghosts(memory) > 20


def walked_by() -> list[View]:
    return [with_somebody(WALL[0]), *WALL[1:4], with_somebody(WALL[5]), WALL[6]]


class TestBookkeeping:
    @pytest.mark.parametrize("n", [1, 2, 3, 5])
    def test_undo_is_exact(self, n):
        views = walked_by()
        memory = memory_of(views)
        memory.undo(n)
        assert differences(snapshot(memory), snapshot(memory_of(views[:-n]))) == []
        assert torch.equal(memory._index.refuted, memory_of(views[:-n])._index.refuted)

    def test_a_write_that_fails_leaves_no_trace(self, monkeypatch):
        memory = memory_of(walked_by()[:3])
        before, refuted = snapshot(memory), memory._index.refuted.clone()
        append = Evidence.append

        def failing(self, *args, **options):
            append(self, *args, **options)
            raise MemoryError

        with monkeypatch.context() as broken:
            broken.setattr(Evidence, "append", failing)
            with pytest.raises(MemoryError):
                write(memory, [WALL[3]])
        assert differences(snapshot(memory), before) == []
        assert torch.equal(memory._index.refuted, refuted)

    def test_it_is_saved_and_loaded(self):
        memory = memory_of(walked_by())
        other = SurfelMemory()
        other.restore(*snapshot(memory))
        assert torch.equal(other._index.refuted, memory._index.refuted)
        assert other._index.refuted.any()
        other.undo(3)
        memory.undo(3)
        assert differences(snapshot(other), snapshot(memory)) == []

    def test_forgetting_views_forgets_what_they_say(self):
        views = walked_by()
        memory = memory_of(views)
        kept = memory._index.kept(torch.tensor([0]))
        assert not kept.refuted.any()
        kept = memory._index.kept(torch.tensor([0, 1, 2, 3]))
        assert int(kept.refuted.sum()) == int(memory_of(views[:4])._index.refuted.sum())

    def test_files_without_evidence_load(self):
        tensors, metadata = snapshot(memory_of(walked_by()))
        for name in ("refuted/surfel", "refuted/offset", "views/by_camera"):
            del tensors[name]
        other = SurfelMemory()
        other.restore(tensors, metadata)
        assert not other._index.refuted.any()
        assert ghosts(other) > 0

    @pytest.mark.parametrize(
        ("name", "change"),
        [
            ("refuted/surfel", lambda t: t + 10**6),
            ("refuted/surfel", lambda t: t - 10**6),
            ("refuted/surfel", lambda t: t[:-1]),
            ("refuted/offset", lambda t: t.flip(0)),
            ("refuted/offset", lambda t: t[:-1]),
            ("views/by_camera", lambda t: t[:-1]),
            ("refuted/surfel", lambda t: torch.cat([t[:-1], torch.full_like(t[-1:], 10**4)])),
        ],
    )
    def test_evidence_that_does_not_fit_is_refused(self, name, change):
        tensors, metadata = snapshot(memory_of(walked_by()))
        other = memory_of(WALL[:1])
        before = snapshot(other)
        with pytest.raises(WorldFileError):
            other.restore(tensors | {name: change(tensors[name])}, metadata)
        assert differences(snapshot(other), before) == []


def test_a_camera_with_skew_is_no_reason_to_fail():
    K = CAMERA.K.clone()
    K[0, 1] = 0.4
    skewed = dataclasses.replace(WALL[1], camera=type(CAMERA)(K, CAMERA.width, CAMERA.height))
    assert len(memory_of([with_somebody(WALL[0]), skewed])) == 2


def test_counts_of_a_long_history_are_exact():
    g = torch.Generator().manual_seed(3)
    device, n = torch.device("cpu"), 40
    evidence, observations = Evidence(device), Observations(device)
    history = []
    for view in range(30):
        chosen = torch.randperm(n, generator=g)
        seen, through = chosen[:12], chosen[12:20]
        observations.append(seen)
        evidence.append(seen, through, by_camera=view % 3 != 0, surfels=n)
        history.append(evidence.refuted.clone())
    for view in range(29, 0, -1):
        evidence.truncate(view, n, observations)
        observations.truncate(view)
        assert torch.equal(evidence.refuted, history[view - 1])


def test_views_far_apart_agree_on_a_room():
    """In a room that does not change, nothing is refuted."""
    memory = memory_of(views_at(orbit(12), panel=True))
    assert not memory._index.refuted.any()
