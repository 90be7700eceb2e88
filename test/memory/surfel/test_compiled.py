"""The compiled kernels against the torch code: the same ids and matches, the same pictures but for rounding."""

import dataclasses

import pytest
import torch

from memories import CAMERA, memory_of, views_at
from rooms import box_view, orbit
from vmem_ros.geometry import Camera, invert, look_at
from vmem_ros.memory.blending import Shown, blend_views
from vmem_ros.memory.growable import BLOCK
from vmem_ros.memory.surfel.extraction import sample_surfels
from vmem_ros.memory.surfel.looking_through import looked_through
from vmem_ros.memory.surfel.recognition import recognise
from vmem_ros.memory.surfel.splatting import splat
from vmem_ros.memory.surfel.surfels import SurfelCloud, SurfelStore, moved
from vmem_ros.memory.surfel.voxel_hash import VoxelHash
from vmem_ros.types import PointMap, Target, View

BETWEEN = look_at((-0.7, 0.4, 0.1), (2, -0.3, 0))
CAMERAS = {
    "as stored": CAMERA,
    "odd": Camera([[61.0, 0, 40.3], [0, 57.0, 20.1], [0, 0, 1]], 83, 37),
    "one pixel": Camera([[1.0, 0, 0.5], [0, 1.0, 0.5], [0, 0, 1]], 1, 1),
    "large": CAMERA.resized(4 * CAMERA.width, 4 * CAMERA.height),
}


def disks(n: int, seed: int) -> SurfelCloud:
    g = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize(torch.randn(n, 3, generator=g), dim=-1)
    position = torch.rand(n, 3, generator=g) * torch.tensor([5.0, 4, 3]) - torch.tensor([0.5, 2, 1.5])
    radius = 0.01 * torch.exp(3 * torch.rand(n, generator=g))
    color = torch.zeros(n, 3, dtype=torch.uint8)
    return SurfelCloud(position, normal, radius, color, torch.randint(2, (n,), generator=g).float())


class TestSplatting:
    @pytest.mark.parametrize("n", [0, 1, BLOCK, BLOCK + 1, 40 * BLOCK**2 // 10])
    @pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
    def test_same_surfels_and_depth(self, both, camera, n):
        store = SurfelStore(torch.device("cpu"))
        store.append(disks(n, 3))
        one, other = both(lambda: splat(store.cloud, store.blocks, camera, BETWEEN, scale=1.8))
        same = one.ids == other.ids
        # Pixel centres on a rim may fall to either side.
        assert same.float().mean() > 0.999 or (~same).sum() <= 1
        covered = same & (one.ids >= 0)
        assert torch.allclose(one.depth[covered], other.depth[covered], rtol=1e-5)
        for each in (one, other):
            seen = each.ids >= 0
            assert torch.equal(each.depth.isnan(), ~seen)
            assert torch.equal(each.imagined[seen], store.cloud.provenance[each.ids[seen]] == 0)
            assert not each.imagined[~seen].any()
        assert n < BLOCK or camera.width == 1 or covered.any()

    def test_behind_walls_the_same_is_left_out(self, both):
        memory = memory_of(views_at(orbit(8)))
        one, other = both(lambda: memory._index.render(Target(CAMERA, BETWEEN), scale=1.8))
        # Of surfels in one plane the nearer by a rounding error wins: which, depends on the processor.
        assert torch.equal(one.ids >= 0, other.ids >= 0)
        assert torch.allclose(one.depth, other.depth, rtol=1e-5, equal_nan=True)
        assert (one.ids == other.ids).float().mean() > 0.7


class TestMatching:
    @pytest.mark.parametrize("offset", [0.0, 300.0])
    def test_same_matches(self, both, offset):
        old, new = (
            dataclasses.replace(cloud, position=cloud.position + offset) for cloud in (disks(6000, 1), disks(3000, 2))
        )
        table = VoxelHash(torch.device("cpu"), merge_factor=1.5, min_cosine=0.2)
        table.insert(old, 0)
        one, other = both(lambda: table.find(new, old))
        assert torch.equal(one, other)
        assert (one >= 0).float().mean() > 0.05

    def test_an_empty_table(self, both):
        table = VoxelHash(torch.device("cpu"), merge_factor=1.5, min_cosine=0.2)
        one, other = both(lambda: table.find(disks(5, 1), disks(0, 1)))
        assert torch.equal(one, other)


class TestInserting:
    def test_same_table(self, both):
        """What is found afterwards, of several inserts and after some were taken back, is the same."""
        old, more, new = disks(5000, 1), disks(3000, 4), disks(3000, 2)

        def matches():
            table = VoxelHash(torch.device("cpu"), merge_factor=1.5, min_cosine=0.2)
            table.insert(old, 0)
            table.insert(more, len(old))
            everything = SurfelCloud(*(torch.cat(pair) for pair in zip(*map(columns, (old, more)), strict=True)))
            first = table.find(new, everything)
            table.remove_from(len(old) + 1000, more.after(1000))
            return first, table.find(new, everything.select(torch.arange(len(old) + 1000)))

        (one, one_after), (other, other_after) = both(matches)
        assert torch.equal(one, other)
        assert torch.equal(one_after, other_after)
        assert (one >= len(old)).any()
        assert not torch.equal(one, one_after)


class TestSampling:
    @pytest.mark.parametrize("observed", [True, False])
    def test_same_surfels(self, both, observed):
        """With holes, edges, sky, doubt and pixels that are known already."""
        view = box_view(CAMERA, BETWEEN)
        depth = view.depth.clone()
        depth[5:9, 20:40], depth[12, 12], depth[0, :] = torch.nan, torch.inf, 1.3 * depth[0, :]
        confidence = torch.linspace(0, 0.2, depth.numel()).view(depth.shape)
        point_map = PointMap.from_depth(depth, confidence, CAMERA, BETWEEN)
        known = torch.zeros_like(depth, dtype=torch.bool)
        known[20:30, 5:30] = True
        given = PointMap(point_map.points, point_map.confidence, CAMERA, BETWEEN)
        for each in (point_map, given):
            one, other = both(
                lambda: sample_surfels(each, view.image, observed=observed, stride=1.5, min_confidence=0.1, known=known)  # noqa: B023
            )
            assert 100 < len(one) == len(other)
            for ours, theirs in zip(columns(one), columns(other), strict=True):
                assert torch.allclose(ours.float(), theirs.float(), rtol=1e-4, atol=1e-6)


def columns(cloud: SurfelCloud) -> list[torch.Tensor]:
    return [getattr(cloud, field.name) for field in dataclasses.fields(cloud)]


class TestMoving:
    def test_same_places(self, both):
        cloud = disks(1000, 6)
        one, other = both(lambda: moved(cloud, BETWEEN))
        assert torch.allclose(one.position, other.position, atol=1e-6)
        assert torch.allclose(one.normal, other.normal, atol=1e-6)
        assert one.radius is cloud.radius


class TestRecognising:
    @pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
    def test_same_surfels(self, both, camera):
        """Of what is rendered, shifted by a centimetre: some are the same, some are too far away or too fine."""
        store = SurfelStore(torch.device("cpu"))
        store.append(disks(4000, 7))
        T = invert(BETWEEN)
        rendered = splat(store.cloud, store.blocks, camera, BETWEEN, scale=1.8)
        new = moved(disks(3000, 8), T)
        new = new.select((new.position[:, 2] > 0.3).nonzero().squeeze(1))
        x, y, z = new.position.unbind(-1)
        u = (camera.fx * x / z + camera.cx).long().clamp(0, camera.width - 1)
        v = (camera.fy * y / z + camera.cy).long().clamp(0, camera.height - 1)
        depth = rendered.depth[v, u].nan_to_num(nan=3.0) + 0.02 * torch.rand(len(z)) - 0.01
        new = dataclasses.replace(new, position=new.position * (depth / z)[:, None])

        def found():
            out = torch.full((len(new),), -1)
            out[::5] = 3
            recognise(out, new, store.cloud, rendered, camera, T)
            return out

        one, other = both(found)
        assert (one == other).float().mean() > 0.999
        assert camera.width == 1 or ((one[1::5] >= 0).any() and (one < 0).any())


class TestLookingThrough:
    @pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
    def test_same_surfels(self, both, camera):
        store = SurfelStore(torch.device("cpu"))
        store.append(disks(7000, 5))
        g = torch.Generator().manual_seed(1)
        depth = 1 + 4 * torch.rand(camera.size, generator=g)
        depth[: camera.height // 4] = torch.inf
        depth[:, : camera.width // 5] = torch.nan
        hidden = torch.rand(7000, generator=g) < 0.2
        one, other = both(lambda: looked_through(store.blocks, 7000, camera, invert(BETWEEN), depth, hidden=hidden))
        assert torch.equal(one, other)
        assert camera.width == 1 or len(one) > 20
        assert not hidden[one].any()


class TestBlending:
    @pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS)
    def test_same_pictures(self, both, camera):
        memory = memory_of(views_at(orbit(8), panel=True))
        one, other = both(lambda: memory.project(Target(camera, BETWEEN)))
        assert torch.equal(one.seen, other.seen)
        difference = (one.image.int() - other.image.int()).abs()
        assert (difference > 1).float().mean() < 1e-3
        assert torch.allclose(one.depth, other.depth, rtol=1e-4, equal_nan=True)
        assert torch.allclose(one.confidence, other.confidence, atol=1e-4)

    @pytest.mark.parametrize(("width", "height"), [(1, 60), (80, 1), (2, 2)])
    def test_views_of_a_line_of_pixels(self, both, width, height):
        """Beyond the last pixel of a picture there is none to blend with."""
        whole = Camera([[80.0, 0, width / 2], [0, 80.0, height / 2], [0, 0, 1]], width, height)
        g = torch.Generator().manual_seed(6)
        views = [
            View(
                (255 * torch.rand(height, width, 3, generator=g)).byte(),
                whole,
                look_at((0.01 * number, 0, 0), (2, 0.01 * number, 0)),
                depth=2 + 0.02 * torch.rand(height, width, generator=g),
                confidence=torch.ones(height, width),
            )
            for number in range(3)
        ]
        shown, target = [Shown(view, torch.ones(3)) for view in views], whole.resized(2 * width, 2 * height)
        asked = torch.full(target.size, 2.01)
        one, other = both(lambda: blend_views([shown], target, look_at((0, 0, 0), (2, 0, 0)), asked, asked < 0))
        assert torch.equal(one.found, other.found)
        assert one.found.float().mean() > 0.5
        assert (one.image.int() - other.image.int()).abs().max() <= 1
        assert torch.allclose(one.depth, other.depth, rtol=1e-4, equal_nan=True)

    def test_holes_sky_masks_and_drawn_views(self, both):
        """What no room has: depth missing or infinite, pixels nobody may believe, views that a generator drew."""
        g = torch.Generator().manual_seed(5)
        views = []
        for number, view in enumerate(views_at(orbit(8), panel=True)):
            chance = torch.rand(view.camera.size, generator=g)
            depth = torch.where(chance < 0.2, torch.nan, view.depth)
            depth = torch.where(chance > 0.9, torch.inf, depth) * (1 + 0.02 * (number % 3))
            confidence = (torch.rand(view.camera.size, generator=g) > 0.3).float() if number != 2 else None
            source = "generated" if number in (3, 4) else "observed"
            views.append(dataclasses.replace(view, depth=depth, confidence=confidence, source=source))
        truth = views_at([BETWEEN])[0]
        asked = torch.where(torch.rand(truth.camera.size, generator=g) < 0.1, torch.nan, truth.depth * 0.97)
        gains = torch.rand(len(views), 3, generator=g) + 0.5
        shown = [Shown(view, gain, 0.3 + 0.1 * i) for i, (view, gain) in enumerate(zip(views, gains, strict=True))]
        groups = [shown[:3], [], shown[5:], shown[3:5]]
        imagined = torch.rand(truth.camera.size, generator=g) < 0.3
        one, other = both(lambda: blend_views(groups, truth.camera, BETWEEN, asked, imagined))
        for name in ("found", "refuted"):
            assert (getattr(one, name) != getattr(other, name)).float().mean() < 1e-3
        assert one.refuted.any() or one.found.any()
        both_found = one.found & other.found
        assert (one.image.int() - other.image.int()).abs()[both_found].float().mean() < 0.05
        assert ((one.depth / other.depth - 1).abs()[both_found] > 1e-4).float().mean() < 5e-3
        assert (one.provenance - other.provenance).abs()[both_found].mean() < 1e-3

    def test_a_pose_that_looks_away(self, both):
        views = views_at([orbit(8)[0]])
        away = views[0].T_world_camera @ torch.diag(torch.tensor([-1.0, 1, -1, 1], dtype=torch.float64))
        nowhere = torch.zeros(CAMERA.size, dtype=torch.bool)
        assert torch.allclose(invert(away) @ away, torch.eye(4, dtype=torch.float64))
        one, other = both(
            lambda: blend_views([[Shown(views[0], torch.ones(3))]], CAMERA, away, torch.full(CAMERA.size, 2.0), nowhere)
        )
        assert not one.found.any()
        assert not other.found.any()
