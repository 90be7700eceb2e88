"""The voxel hash against an exhaustive search."""

import pytest
import torch

from vmem_ros.memory.surfel.surfels import SurfelCloud
from vmem_ros.memory.surfel.voxel_hash import VoxelHash

MERGE_FACTOR, MIN_COSINE = 1.5, 0.6


def new_hash() -> VoxelHash:
    return VoxelHash(torch.device("cpu"), merge_factor=MERGE_FACTOR, min_cosine=MIN_COSINE)


def cloud(position, *, normal=None, radius=0.1) -> SurfelCloud:
    position = torch.as_tensor(position, dtype=torch.float32).reshape(-1, 3)
    n = len(position)
    normal = torch.tensor([0.0, 0, -1]).expand(n, 3) if normal is None else torch.as_tensor(normal)
    radius = torch.as_tensor(radius, dtype=torch.float32).expand(n).clone()
    return SurfelCloud(position, normal, radius, torch.zeros(n, 3, dtype=torch.uint8), torch.ones(n))


def part(whole: SurfelCloud, start: int, end: int) -> SurfelCloud:
    return SurfelCloud(*(column[start:end] for column in vars(whole).values()))


def random_cloud(n: int, seed: int, *, side: float = 1.0, low: float = 0.01, high: float = 0.2, offset=0.0):
    g = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize(torch.randn(n, 3, generator=g) + torch.tensor([0.0, 0, -1]), dim=-1)
    radius = torch.exp(torch.empty(n).uniform_(*torch.tensor([low, high]).log().tolist(), generator=g))
    return cloud(torch.rand(n, 3, generator=g) * side + offset, normal=normal, radius=radius)


def exhaustive(new: SurfelCloud, old: SurfelCloud) -> torch.Tensor:
    """Return the nearest match of each new surfel, or -1: distances to all, in float64, without voxels."""
    if not len(old):
        return torch.full((len(new),), -1)
    distance = (new.position.double()[:, None] - old.position.double()).square().sum(dim=-1)
    reach = MERGE_FACTOR * torch.minimum(new.radius[:, None], old.radius).double()
    match = (distance <= reach**2) & (new.normal @ old.normal.T > MIN_COSINE)
    # The stated rule: up to 8 times finer or twice as coarse, in whole octaves of the voxel side.
    octaves = [torch.ceil(torch.log2(2 * MERGE_FACTOR * c.radius)) for c in (new, old)]
    finer = octaves[0][:, None] - octaves[1]
    match &= (finer <= 3) & (finer >= -1)
    nearest = torch.where(match, distance, torch.inf).argmin(dim=1)
    return torch.where(match.any(dim=1), nearest, -1)


class TestAgainstExhaustiveSearch:
    @pytest.mark.parametrize("radii", [(0.02, 0.02), (0.05, 0.1), (0.002, 0.5)])
    @pytest.mark.parametrize("offset", [0.0, -37.3])
    def test_random_clouds(self, radii, offset):
        low, high = radii
        old = random_cloud(1500, 1, low=low, high=high, offset=offset)
        new = random_cloud(400, 2, low=low, high=high, offset=offset)
        table = new_hash()
        table.insert(old, 0)
        found = table.find(new, old)
        assert torch.equal(found, exhaustive(new, old))
        assert 0.05 < (found >= 0).float().mean() < 1, "a case in which all or none match shows nothing"

    def test_in_pieces_through_several_growths(self):
        old = random_cloud(12_000, 3, side=6, low=0.02, high=0.05)
        table = new_hash()
        for start in range(0, len(old), 777):
            table.insert(part(old, start, start + 777), start)
        new = random_cloud(300, 4, side=6, low=0.02, high=0.05)
        assert torch.equal(table.find(new, old), exhaustive(new, old))

    def test_every_surfel_finds_itself(self):
        old = random_cloud(3000, 5)
        table = new_hash()
        table.insert(old, 0)
        assert torch.equal(table.find(old, old), torch.arange(3000))

    @pytest.mark.parametrize("position", [1e4, 1e6])
    def test_far_from_the_origin_nothing_is_confused(self, position):
        """Beyond the range of voxel coordinates surfels share a voxel; they are still told apart by distance."""
        far = cloud([[position, 0, 0], [-position, 0, 0], [0, position, 0]])
        table = new_hash()
        table.insert(far, 0)
        assert table.find(far, far).tolist() == [0, 1, 2]
        assert table.find(cloud([[position + 5, 0, 0]]), far).tolist() == [-1]


class TestRules:
    def find_one(self, new: SurfelCloud, old: SurfelCloud) -> int:
        table = new_hash()
        table.insert(old, 0)
        return int(table.find(new, old))

    @pytest.mark.parametrize(("x", "match"), [(0.149, 0), (0.151, -1), (-0.149, 0), (-0.151, -1)])
    def test_distance(self, x, match):
        assert self.find_one(cloud([[x, 0, 0]]), cloud([[0, 0, 0]])) == match

    @pytest.mark.parametrize(("new", "old"), [(0.1, 0.12), (0.12, 0.1)])
    def test_the_smaller_radius_counts(self, new, old):
        position = cloud([[0.16, 0, 0]], radius=new)
        assert self.find_one(position, cloud([[0, 0, 0]], radius=old)) == -1
        assert self.find_one(position, cloud([[0.012, 0, 0]], radius=old)) == 0

    @pytest.mark.parametrize(("degrees", "match"), [(0, 0), (53, 0), (54, -1), (180, -1)])
    def test_normals(self, degrees, match):
        angle = torch.deg2rad(torch.tensor(float(degrees)))
        tilted = torch.stack([angle.sin(), torch.zeros(()), -angle.cos()])[None]
        assert self.find_one(cloud([[0, 0, 0]], normal=tilted), cloud([[0, 0, 0]])) == match

    def test_much_coarser_surfels_do_not_swallow_detail(self):
        assert self.find_one(cloud([[0, 0, 0]], radius=0.01), cloud([[0, 0, 0]], radius=0.1)) == -1
        assert self.find_one(cloud([[0, 0, 0]], radius=0.1), cloud([[0, 0, 0]], radius=0.02)) == 0

    def test_of_equally_near_ones_the_oldest(self):
        sides = [[0.05, 0, 0], [-0.05, 0, 0], [0, 0.05, 0], [0, 0, -0.05]]
        for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
            assert self.find_one(cloud([[0, 0, 0]]), cloud([sides[i] for i in order])) == 0

    def test_identical_positions(self):
        """Forty surfels in one place form one long chain (the published octree overflows its stack at eleven)."""
        assert self.find_one(cloud([[1, 2, 3]]), cloud([[1, 2, 3]] * 40)) == 0

    def test_a_better_facing_but_farther_one_does_not_win(self):
        old = cloud([[0.05, 0, 0], [0.02, 0, 0]], normal=[[0.0, 0, -1], [0.6, 0, -0.8]])
        assert self.find_one(cloud([[0, 0, 0]]), old) == 1

    def test_empty(self):
        table, nothing = new_hash(), cloud([])
        assert table.find(cloud([[0, 0, 0]]), nothing).tolist() == [-1]
        table.insert(nothing, 0)
        assert table.find(nothing, nothing).tolist() == []


class TestRemoval:
    def test_leaves_what_was_inserted_before(self):
        old, new = random_cloud(5000, 6), random_cloud(300, 7)
        table = new_hash()
        table.insert(part(old, 0, 2000), 0)
        table.insert(part(old, 2000, 5000), 2000)
        for length in (4000, 2000, 500, 0):
            table.remove_from(length, old.after(length))
            old = part(old, 0, length)
            assert torch.equal(table.find(new, old), exhaustive(new, old))

    def test_then_inserting_again(self):
        old, other, new = random_cloud(3000, 8), random_cloud(2000, 9), random_cloud(300, 10)
        table = new_hash()
        table.insert(old, 0)
        table.remove_from(1000, old.after(1000))
        table.insert(other, 1000)
        columns = zip(vars(part(old, 0, 1000)).values(), vars(other).values(), strict=True)
        both = SurfelCloud(*(torch.cat(column) for column in columns))
        assert torch.equal(table.find(new, both), exhaustive(new, both))

    def test_of_surfels_that_were_never_inserted(self):
        """What a write leaves that failed between storing surfels and hashing them."""
        old, never = random_cloud(1000, 11), random_cloud(500, 12, offset=50.0)
        table = new_hash()
        table.insert(old, 0)
        table.remove_from(1000, never)
        assert torch.equal(table.find(old, old), torch.arange(1000))

    def test_the_table_does_not_grow_with_what_was_removed(self):
        table, sizes = new_hash(), []
        for seed in range(40):
            elsewhere = random_cloud(1000, seed, offset=100.0 * seed)
            table.insert(elsewhere, 0)
            sizes.append(table.nbytes)
            table.remove_from(0, elsewhere)
        assert max(sizes) <= 2 * sizes[0]
