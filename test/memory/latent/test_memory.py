"""What is particular to a memory of latents; all else is in the contract."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn.functional import avg_pool2d

from comparisons import differences, snapshot
from faults import operations_of
from memory_subject import CAMERA, TARGETS, VIEWS, maps_of, wall, write
from rooms import box_view, orbit
from vmem_ros.errors import InvalidImageError, ModelError, WorldFileError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.memory.latent import LatentMemory, LatentMemoryOptions, Lifted, grid_intrinsics, lift, warp
from vmem_ros.memory.view_storage import without_encodings
from vmem_ros.types import Target, View

#: Pixels a cell, and the latent grid of the cameras of these tests.
CELL, GRID = 4, (9, 12)


def encoded(view: View, **changes: object) -> View:
    """The view with its mean colours as latents: what a picture shows can be read off them."""
    latent = avg_pool2d(view.image.permute(2, 0, 1).float(), CELL)
    return dataclasses.replace(view, latent=latent, **changes)


def memory_of(views: list[View], **options: float) -> LatentMemory:
    memory = LatentMemory(LatentMemoryOptions(**options))
    for view in views:
        write(memory, [view])
    return memory


def plain_wall(depth_m: float, value: float, *, source: str = "generated") -> View:
    """A view of a wall straight ahead all of whose latents are the same."""
    (view,), _ = wall(depth_m, source, 100)
    return dataclasses.replace(view, latent=torch.full((3, *GRID), value))


def cloud_of(views: list[View]) -> Lifted:
    parts = [lift(v.latent, v.depth, v.camera.K, v.T_world_camera) for v in views]
    return Lifted(*(torch.cat(each) for each in zip(*parts, strict=True)))


class TestFeatures:
    @pytest.mark.parametrize("source", ["observed", "generated"])
    def test_a_stored_pose_shows_its_latents(self, source: str) -> None:
        views = [encoded(view, source=source) for view in VIEWS]
        shown = memory_of(views).project(views[2].target)
        assert shown.features.shape == (3, *GRID)
        assert shown.features_seen.float().mean() > 0.95
        same = (shown.features == views[2].latent).all(dim=0)
        assert same[shown.features_seen].float().mean() > 0.4, "others' points lie nearer in some cells"
        error = (shown.features - views[2].latent).abs().amax(dim=0)[shown.features_seen]
        assert error.median() < 2

    def test_a_new_pose_shows_what_is_there(self) -> None:
        memory = memory_of([encoded(view) for view in VIEWS])
        for target in TARGETS:
            truth = encoded(box_view(CAMERA, target.T_world_camera, panel=True))
            shown = memory.project(target)
            assert shown.features_seen.float().mean() > 0.75, "gaps are left: one point a cell"
            error = (shown.features - truth.latent).abs().mean(dim=0)[shown.features_seen]
            assert error.mean() < 25, "of 255; colours change by about as much from cell to cell"
            assert not shown.features[:, ~shown.features_seen].any()

    def test_it_is_the_whole_cloud_but_what_is_hidden(self) -> None:
        views = [encoded(view) for view in VIEWS]
        memory, cloud = memory_of(views), cloud_of(views)
        for target in TARGETS:
            K = grid_intrinsics(CAMERA.K, CAMERA.width, CAMERA.height, GRID[1], GRID[0])
            all_of_it = warp(cloud, K, target.T_world_camera, GRID)
            shown = memory.project(target)
            assert not (shown.features_seen & ~all_of_it.mask).any()
            same = (shown.features == all_of_it.features).all(dim=0)
            # A place is kept in 32 bits: at the border of a cell it may fall to the other side.
            assert same[shown.features_seen].float().mean() > 0.97
            hidden = all_of_it.mask & ~shown.features_seen
            truth = box_view(CAMERA, target.T_world_camera, panel=True).depth
            nearest = -torch.nn.functional.max_pool2d(-truth[None], CELL)[0]
            farthest = torch.nn.functional.max_pool2d(truth[None], CELL)[0]
            beside = (all_of_it.depth > farthest * 1.03) | (all_of_it.depth < nearest * 0.97)
            assert beside[hidden].float().mean() > 0.9 or hidden.sum() <= 1

    def test_latents_behind_a_wall_do_not_show(self) -> None:
        """Although the wall has no latents: a camera saw it."""
        behind, (front,) = plain_wall(3.0, 1.0), wall(1.5, "observed", 200)[0]
        alone = memory_of([behind]).project(behind.target)
        assert alone.features_seen.all()
        assert (alone.features == 1).all()
        shown = memory_of([behind, front]).project(behind.target)
        assert not shown.features_seen[1:-1, 1:-1].any()
        before = memory_of([plain_wall(1.0, 1.0), front]).project(behind.target)
        assert not before.features_seen[1:-1, 1:-1].any(), "nothing is where a camera looked through"

    def test_the_nearest_shows(self) -> None:
        for order in ((1.0, 3.0), (3.0, 1.0)):
            memory = memory_of([plain_wall(depth, depth) for depth in order])
            shown = memory.project(memory.views[0].target)
            assert (shown.features == 1).all()

    def test_without_latents_there_are_no_features(self) -> None:
        assert memory_of(VIEWS[:2]).project(TARGETS[0]).features is None
        mixed = memory_of([encoded(VIEWS[0]), *VIEWS[1:]])
        there, away = mixed.project(VIEWS[0].target), mixed.project(VIEWS[4].target)
        assert there.features_seen.float().mean() > 0.95
        assert not away.features_seen.any()
        assert away.seen.float().mean() > 0.9

    def test_the_grid_follows_the_picture(self) -> None:
        memory = memory_of([encoded(VIEWS[0])])
        for size, grid in (((96, 72), (18, 24)), ((24, 18), (4, 6)), ((8, 8), (2, 2))):
            camera = Camera.from_fov(*size, 80)
            shown = memory.project(Target(camera, VIEWS[0].T_world_camera))
            assert shown.features.shape[1:] == shown.features_seen.shape == grid
            assert shown.features_seen.any()

    def test_latents_of_another_autoencoder_are_left_out(self) -> None:
        other = dataclasses.replace(VIEWS[0], latent=torch.ones(5, 6, 8))
        memory = memory_of([encoded(VIEWS[0]), other])
        shown = memory.project(VIEWS[0].target)
        assert shown.features.shape == (5, 6, 8)
        assert (shown.features[:, shown.features_seen] == 1).all()
        memory.undo()
        assert memory.project(VIEWS[0].target).features.shape == (3, *GRID)

    def test_as_many_views_as_are_allowed(self) -> None:
        views = [encoded(view) for view in VIEWS]
        shares = [
            float(memory_of(views, warped_views=most).project(TARGETS[0]).features_seen.float().mean())
            for most in (1, 2, 8)
        ]
        assert shares == sorted(set(shares))
        assert shares[0] < 0.6


class TestWhatIsNotLifted:
    def test_masked_pixels_and_cells_that_know_of_them(self) -> None:
        confidence = torch.ones(CAMERA.size)
        confidence[9:27, 13:35] = 0
        view = encoded(VIEWS[0], confidence=confidence)
        memory = memory_of([view])
        shown = memory.project(view.target)
        touched = torch.nn.functional.max_pool2d((confidence == 0).float()[None], CELL)[0] > 0
        assert touched.sum() == 30
        assert torch.equal(~shown.features_seen, touched)
        near = torch.zeros(CAMERA.size, dtype=torch.bool)
        near[14:22, 19:29] = True
        assert not shown.seen[near].any()

    def test_imagined_pixels_are_lifted_whatever_their_confidence(self) -> None:
        view = encoded(VIEWS[0], source="generated", confidence=torch.zeros(CAMERA.size))
        assert memory_of([view]).project(view.target).features_seen.all()

    @pytest.mark.parametrize("value", [torch.inf, torch.nan])
    def test_sky_and_the_unknown(self, value: float) -> None:
        depth = VIEWS[0].depth.clone()
        depth[:16] = value
        view = encoded(VIEWS[0], depth=depth)
        seen = memory_of([view]).project(view.target).features_seen
        assert not seen[:4].any()
        assert seen[4:].all()

    def test_unsure_points(self) -> None:
        view, memory = encoded(VIEWS[0]), LatentMemory()
        (found,) = maps_of([view])
        confidence = found.confidence.clone()
        confidence[:, :24] = 0
        memory.write([view], [dataclasses.replace(found, confidence=confidence)])
        seen = memory.project(view.target).features_seen
        assert not seen[:, :6].any()
        assert seen[:, 6:].all()

    @pytest.mark.parametrize("latent", [torch.ones(3, 4), torch.ones(3, 4, 4, dtype=torch.int64), torch.ones(3, 0, 4)])
    def test_what_is_no_latent(self, latent: torch.Tensor) -> None:
        memory = memory_of([encoded(VIEWS[0])])
        before = snapshot(memory)
        with pytest.raises(InvalidImageError, match="latent"):
            write(memory, [dataclasses.replace(VIEWS[1], latent=latent)])
        assert differences(snapshot(memory), before) == []


class TestReferences:
    def test_overlap_decides(self) -> None:
        memory = memory_of(VIEWS)
        recall = memory.read([VIEWS[0].target], 3)
        assert recall.indices[0] == 0
        assert sorted(recall.indices[1:]) == [1, 7]
        assert recall.weights[0] > 0.4

    def test_a_view_that_overlaps_too_little_is_only_a_stopgap(self) -> None:
        recall = memory_of([VIEWS[0], VIEWS[4]]).read([VIEWS[0].target], 2)
        assert recall.indices == (0, 1)
        assert recall.weights.tolist() == [1, 0]
        assert not recall.fallback
        strict = memory_of(VIEWS[:3], least_overlap=0.6).read([VIEWS[0].target], 3)
        assert strict.weights.tolist() == [1, 0, 0]

    def test_a_view_of_what_is_hidden_is_no_reference(self) -> None:
        """Behind a wall that fills the picture lies what another view saw; points alone would count it."""
        (front,), (back,) = wall(1.5, "observed", 200)[0], wall(6.0, "observed", 100)[0]
        recall = memory_of([back, front]).read([front.target], 2)
        assert recall.indices == (1, 0)
        assert recall.weights.tolist() == [1, 0]


class TestBoundsAndFiles:
    def test_forgotten_views_take_their_latents_along(self) -> None:
        memory = memory_of([encoded(view) for view in VIEWS], max_views=3)
        left = memory.figures()["latents"]
        assert 0 < left <= 3 * GRID[0] * GRID[1]
        last = memory.project(VIEWS[-1].target)
        assert last.features_seen.float().mean() > 0.95
        while len(memory):
            memory.undo()
        assert differences(snapshot(memory), snapshot(LatentMemory())) == []

    def test_latents_count_as_bytes(self) -> None:
        with_them, without = memory_of([encoded(VIEWS[0])]), memory_of(VIEWS[:1])
        assert with_them.nbytes - without.nbytes >= 3 * 4 * GRID[0] * GRID[1]
        assert with_them.figures()["latents"] == GRID[0] * GRID[1]

    def test_a_world_of_another_model_keeps_everything_but_latents(self) -> None:
        tensors, metadata = snapshot(memory_of([encoded(view) for view in VIEWS[:3]]))
        memory, plain = LatentMemory(), memory_of(VIEWS[:3])
        memory.restore(without_encodings(tensors), metadata)
        assert differences(snapshot(memory), snapshot(plain)) == []
        assert memory.project(VIEWS[0].target).features is None

    def test_voxels_of_another_size_are_refused_by_name(self) -> None:
        saved, memory = snapshot(memory_of(VIEWS[:1], voxel=0.2)), memory_of(VIEWS[:1])
        before = snapshot(memory)
        with pytest.raises(WorldFileError, match=r"0\.2 m wide.*0\.1 m.*voxel = 0\.2"):
            memory.restore(*saved)
        assert differences(snapshot(memory), before) == []

    @pytest.mark.parametrize(
        ("name", "place", "value"),
        [
            ("tokens/cell", 0, -1),
            ("tokens/cell", 1, 0),  # twice the same
            ("tokens/cell", 107, 108),  # of 9 x 12
            ("tokens/channels", 0, 4),
            ("tokens/channels", 1, 0),
            ("tokens/offset", 1, 100000),
            ("samples/voxel", 0, 10**6),
            ("samples/level", 0, 40),
            ("samples/size", 0, 0),
            ("voxels/key", 0, -1),
            ("observations/voxel", 0, 10**6),
            ("views/born", 1, 10**6),
        ],
    )
    def test_numbers_that_do_not_fit(self, name: str, place: int, value: float) -> None:
        tensors, metadata = snapshot(memory_of([encoded(view) for view in VIEWS[:2]]))
        damaged = tensors[name].clone()
        damaged.view(-1)[place] = value
        with pytest.raises(WorldFileError, match="inconsistent"):
            LatentMemory().restore(tensors | {name: damaged}, metadata)


class TestGrowth:
    def test_a_call_touches_what_is_in_view(self) -> None:
        """Ten rooms in a row or two: as many operations."""
        views = [encoded(view) for view in VIEWS]
        few, many = LatentMemory(), LatentMemory()
        for memory, rooms in ((few, 2), (many, 10)):
            for number in range(rooms):
                away = torch.eye(4, dtype=torch.float64)
                away[0, 3] = 8.0 * ((number + 1) % rooms)
                for view in views:
                    write(memory, [dataclasses.replace(view, T_world_camera=away @ view.T_world_camera)])
        assert len(many.elements()) > 4 * len(few.elements())
        calls = [
            lambda memory: memory.project(TARGETS[0]),
            lambda memory: memory.read(TARGETS, 4, record=False),
            lambda memory: write(memory, views[:1]),
        ]
        for call in calls:
            some, lots = (operations_of(lambda: call(memory)) for memory in (few, many))  # noqa: B023
            assert lots < 1.3 * some

    def test_a_room_that_is_seen_again_and_again(self) -> None:
        """Samples and voxels cover surfaces, not history."""
        memory = memory_of([encoded(box_view(CAMERA, T, panel=True)) for T in orbit(24)])
        once = memory.figures()["samples"], len(memory.state()[0]["voxels/key"])
        for turn in range(1, 4):
            for T in orbit(24, radius=1.0 + 0.07 * turn):
                write(memory, [encoded(box_view(CAMERA, T, panel=True))])
        again = memory.figures()["samples"], len(memory.state()[0]["voxels/key"])
        assert len(memory) == 96
        assert again[0] < 2.5 * once[0]
        assert again[1] < 1.5 * once[1]

    def test_a_nearer_look_adds_detail(self) -> None:
        far, near = (box_view(CAMERA, look_at((x, 0.0, 0.0), (3.0, 0.0, 0.0))) for x in (-2.9, 2.0))
        memory = memory_of([far])
        before = len(memory.elements())
        write(memory, [near])
        assert len(memory.elements()) > before + 200
        between = len(memory.elements())
        write(memory, [far])
        assert len(memory.elements()) == between, "and a look from afar nothing"


@pytest.mark.parametrize(
    ("name", "value"),
    [("voxel", 0.0), ("warped_views", 0), ("stride", -1), ("splat_scale", 0), ("max_views", -1), ("least_overlap", 2)],
)
def test_options_out_of_range(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        LatentMemoryOptions(**{name: value})
    with pytest.raises(ModelError, match=name):
        load_memory("latent", **{name: value})
