"""The grid, the sums of voxels, and what one view adds to them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import properties  # noqa: F401  sets the limits of hypothesis
from vmem_ros.geometry import pose_from
from vmem_ros.memory.points.grid import KEYS, REACH, Grid, pack, unpack
from vmem_ros.memory.points.voxels import MOST_OF_A_VIEW, Voxels, gather

HERE = torch.eye(4, dtype=torch.float64)
cells = st.lists(st.tuples(*[st.integers(-REACH, REACH - 1)] * 3), min_size=1, max_size=30)


def grid(voxel: float = 0.1, *cell: int) -> Grid:
    return Grid(voxel, torch.tensor(cell or (0, 0, 0)))


def random_cloud(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    points = torch.rand(n, 3, generator=g) * 2 - 1
    return points, torch.randint(0, 256, (n, 3), generator=g, dtype=torch.uint8), torch.rand(n, generator=g) * 0.3


class TestKeys:
    @given(cells)
    def test_round_trip(self, cell: list[tuple[int, int, int]]) -> None:
        expected = torch.tensor(cell)
        key = pack(expected)
        assert torch.equal(unpack(key), expected)
        assert ((key >= 0) & (key < KEYS)).all()

    def test_neighbours_lie_together(self) -> None:
        """Sorted by key, a wall comes block by block: 64 cells of it are a square."""
        y, z = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
        wall = torch.stack([torch.zeros_like(y), y, z], dim=-1).view(-1, 3)
        sides = unpack(pack(wall).sort().values).view(-1, 64, 3)
        assert (sides.amax(dim=1) - sides.amin(dim=1) <= 7).all()


class TestGrid:
    @pytest.mark.parametrize("place", [(0.0, 0.0, 0.0), (12.3, -4.5, 0.7), (1e6, -1e6, 1e3)])
    def test_is_anchored_to_the_world(self, place: tuple[float, float, float]) -> None:
        """The same point lies in the same cell of the world wherever the first view was."""
        points, *_ = random_cloud(2000, 0)
        near = Grid.around(torch.tensor(place, dtype=torch.float64), 0.05)
        far = Grid.around(torch.tensor(place, dtype=torch.float64) + torch.tensor([7.31, -2.2, 0.4]), 0.05)
        T = pose_from(place, (0.0, 0.0, 0.6, 0.8))
        a, b = (torch.floor(g.places(points, T)).long() + g.anchor for g in (near, far))
        assert (a == b).all(dim=1).float().mean() > 0.999

    def test_keeps_precision_far_away(self) -> None:
        points, *_ = random_cloud(100, 1)
        place = torch.tensor([1e6, -1e6, 1e3], dtype=torch.float64)
        far = Grid.around(place, 0.02)
        T = pose_from(place.tolist(), (0, 0, 0, 1))
        world = far.places(points, T) * 0.02 + far.origin
        assert (world - (points.double() + place)).abs().max() < 1e-8


class TestGather:
    def test_means_are_those_of_the_points(self) -> None:
        points, colors, size = random_cloud(3000, 2)
        found = gather(points, colors, size, grid(0.25), HERE, observed=True)
        cell = torch.floor(points.double() / 0.25).long()
        expected, owner = cell.unique(dim=0, return_inverse=True)
        order = {tuple(c): i for i, c in enumerate(expected.tolist())}
        for row, (place, color) in enumerate(zip(found.places, found.colors, strict=True)):
            mine = owner == order[tuple(unpack(found.key[row : row + 1])[0].tolist())]
            assert (place * 0.25 - points[mine].double().mean(dim=0)).abs().max() < 0.25 / 256
            assert (color.double() - colors[mine].double().mean(dim=0)).abs().max() <= 0.5 + 1e-9
            assert float(found.size[row]) == pytest.approx(max(0.25, float(size[mine].min())))
            assert int(found.sums[row, 6]) == int(mine.sum())
        assert len(found) == len(expected)

    def test_order_does_not_matter(self) -> None:
        points, colors, size = random_cloud(2000, 3)
        shuffled = torch.randperm(2000, generator=torch.Generator().manual_seed(4))
        a, b = (gather(points[i], colors[i], size[i], grid(), HERE, observed=True) for i in (slice(None), shuffled))
        assert all(torch.equal(x, y) for x, y in zip(vars(a).values(), vars(b).values(), strict=True))

    def test_a_crowded_voxel_keeps_its_mean(self) -> None:
        n = 3 * MOST_OF_A_VIEW
        points = torch.full((n, 3), 0.013)
        colors = torch.tensor([10, 20, 30], dtype=torch.uint8).repeat(n, 1)
        colors[: n // 2, 0] = 110
        found = gather(points, colors, torch.ones(n), grid(), HERE, observed=False)
        assert found.sums[:, 6].tolist() == [MOST_OF_A_VIEW]
        assert (found.places * 0.1 - 0.013).abs().max() < 1e-3
        assert found.colors.tolist() == [[60, 20, 30]]
        assert not found.observed.any()

    def test_points_beyond_the_grid_are_left_out(self) -> None:
        points = torch.tensor([[0.0, 0, 1], [0, 0, 2.0 * REACH], [torch.finfo(torch.float32).max, 0, 1]])
        found = gather(points, torch.zeros(3, 3, dtype=torch.uint8), torch.ones(3), grid(0.5), HERE, observed=True)
        assert len(found) == 1

    def test_no_points(self) -> None:
        nothing = torch.zeros(0, 3)
        found = gather(nothing, nothing.to(torch.uint8), torch.zeros(0), grid(), HERE, observed=True)
        assert isinstance(found, Voxels)
        assert len(found) == 0
