"""Votes and the choice of views, on hand-made observations."""

import math

import pytest
import torch

from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory.choice import Choice, fill_up, nearest_views
from vmem_ros.memory.observations import Observations
from vmem_ros.memory.surfel.index import SurfelIndex
from vmem_ros.memory.surfel.retrieval import choose_views
from vmem_ros.memory.surfel.splatting import Splat
from vmem_ros.memory.surfel.surfels import SurfelCloud

QUERY = look_at((0, 0, 0), (1, 0, 0))


def observations(*views: list[int]) -> Observations:
    out = Observations(torch.device("cpu"))
    for surfels in views:
        out.append(torch.tensor(surfels, dtype=torch.int64))
    return out


def poses(*x: float) -> torch.Tensor:
    """Return poses ``x`` metres behind the query: their distance to it is 0.1 * x."""
    return torch.stack([look_at((-d, 0, 0), (1, 0, 0)) for d in x])


def choose(weight, seen: Observations, at: torch.Tensor, *, k=2, selection="votes", suppression=0.0):
    weight = torch.tensor(weight, dtype=torch.int64)
    votes = seen.sums(weight, torch.arange(len(seen)))
    return choose_views(votes, weight, seen, at, QUERY, k=k, selection=selection, suppression=suppression)


class TestVotes:
    def index(self) -> SurfelIndex:
        """Return an index of three surfels 1, 2 and 3 m ahead; view 0 saw the first two, view 1 the last."""
        index = SurfelIndex(torch.device("cpu"), merge_factor=1.5, min_cosine=0.6)
        normal = torch.tensor([[0.0, 0, -1], [0, -0.8, -0.6], [0, 0, -1]])
        position = torch.tensor([[0.0, 0, 1], [0, 0, 2], [0, 0, 3]])
        for view in (slice(0, 2), slice(2, 3)):
            rows = len(position[view])
            color, ones = torch.zeros(rows, 3, dtype=torch.uint8), torch.ones(rows)
            index.add(
                SurfelCloud(position[view], normal[view], ones / 100, color, ones),
                torch.eye(4).double(),
                Camera.from_fov(8, 8, 60),
                scale=1.8,
            )
        return index

    def test_formula(self):
        """Every pixel gives its surfel |cos| / (1 + depth), with the depth of the pixel."""
        ids = torch.tensor([[0, 0, -1], [1, 2, 2]])
        depth = torch.tensor([[1.0, 1.5, torch.nan], [2.0, 3.0, 3.0]])
        votes, weight = self.index().votes(Splat(ids, depth, ids < 0), torch.eye(4).double())
        expected = [1 / 2 + 1 / 2.5, 0.6 / 3, 2 / 4]
        assert (weight / 65536).tolist() == pytest.approx(expected, abs=1e-4)
        assert (votes / 65536).tolist() == pytest.approx([expected[0] + expected[1], expected[2]], abs=1e-4)

    def test_nothing_seen(self):
        nothing = Splat(torch.full((2, 3), -1), torch.full((2, 3), torch.nan), torch.zeros(2, 3, dtype=torch.bool))
        votes, weight = self.index().votes(nothing, torch.eye(4).double())
        assert votes.tolist() == [0, 0]
        assert weight.tolist() == [0, 0, 0]


class TestObservations:
    def test_of(self):
        seen = observations([0, 2], [], [1, 2, 5])
        assert len(seen) == 3
        assert [seen.of(v).tolist() for v in range(3)] == [[0, 2], [], [1, 2, 5]]
        row, surfel = seen.of_all(torch.tensor([2, 0]))
        assert row.tolist() == [0, 0, 0, 1, 1]
        assert surfel.tolist() == [1, 2, 5, 0, 2]

    def test_truncate_then_append(self):
        seen = observations([0, 2], [3], [1, 2, 5])
        seen.truncate(1)
        seen.append(torch.tensor([7]))
        assert [seen.of(v).tolist() for v in range(len(seen))] == [[0, 2], [7]]

    def test_sums(self):
        seen = observations([0, 2], [], [1, 2, 5])
        assert seen.sums(torch.tensor([1, 10, 100, 0, 0, 1000]), torch.tensor([2, 1, 0])).tolist() == [1110, 0, 101]

    def test_sums_of_large_views_are_estimated_well(self):
        """Half of each of two views is visible, in stretches as pictures have them."""
        n = 6000
        weight = (torch.arange(n) // 300 % 2) * 1000
        seen = observations(list(range(n // 2)), list(range(n)))
        found = seen.sums(weight, torch.arange(2)).double()
        exact = torch.stack([weight[: n // 2].sum(), weight.sum()]).double()
        assert ((found - exact).abs() < 0.05 * exact).all()

    def test_no_views_and_no_surfels(self):
        assert observations().sums(torch.tensor([1]), torch.empty(0, dtype=torch.int64)).tolist() == []
        assert observations([], []).sums(torch.tensor([1]), torch.arange(2)).tolist() == [0, 0]


class TestChoice:
    def test_votes(self):
        found = choose([1, 10, 100], observations([0], [1], [2], []), poses(0, 1, 2, 3))
        assert found.views == [2, 1]
        assert found.weights.tolist() == pytest.approx([100 / 110, 10 / 110])

    def test_views_without_votes_are_not_chosen(self):
        assert choose([0, 10], observations([0], [1], []), poses(0, 1, 2), k=3).views == [1]

    def test_of_equally_voted_views_the_older(self):
        assert choose([5], observations([0], [0], [0]), poses(2, 1, 0)).views == [0, 1]

    def test_nearest(self):
        found = choose([1, 10, 100], observations([0], [1], [2]), poses(0, 1, 2), selection="nearest")
        assert found.views == [0, 1]

    def test_coverage_prefers_what_nobody_showed_yet(self):
        """Views 0 and 1 saw nearly the same; view 2 saw less, but something else."""
        seen = observations([0, 1, 2], [0, 1], [3])
        weight = [10, 10, 1, 9]
        assert choose(weight, seen, poses(0, 1, 2)).views == [0, 1]
        assert choose(weight, seen, poses(0, 1, 2), selection="coverage").views == [0, 2]

    def test_coverage_still_fills_up_when_all_is_covered(self):
        seen = observations([0], [0], [0])
        assert len(choose([10], seen, poses(0, 1, 2), k=3, selection="coverage").views) == 3


class TestSuppression:
    seen = observations([0], [1], [2], [3])
    weight = (100, 90, 80, 1)

    def test_near_twins_are_passed_over(self):
        found = choose(self.weight, self.seen, poses(0, 0.1, 0.2, 30), suppression=1.0)
        assert found.views == [0, 3]

    def test_is_relaxed_until_there_are_enough(self):
        """0.1 * 0.4 m apart at most: the distance shrinks until the farthest twin is far enough."""
        found = choose(self.weight, self.seen, poses(0, 0.1, 0.4, 0.3), suppression=1.0)
        assert found.views == [0, 2]

    def test_identical_poses_are_chosen_when_nothing_else_is_there(self):
        found = choose(self.weight, self.seen, poses(0, 0, 0, 0), k=4, suppression=1.0)
        assert sorted(found.views) == [0, 1, 2, 3]

    def test_rotation_counts_in_radians(self):
        turned = look_at((0, 0, 0), (math.cos(0.5), math.sin(0.5), 0))
        at = torch.stack([QUERY, turned, *poses(30, 40)])
        assert choose(self.weight, self.seen, at, suppression=0.49).views == [0, 1]
        assert choose(self.weight, self.seen, at, suppression=0.51).views == [0, 2]

    @pytest.mark.parametrize("selection", ["votes", "coverage", "nearest"])
    def test_holds_in_every_selection(self, selection):
        at = poses(*torch.arange(12).mul(0.7).tolist())
        seen = observations(*([i] for i in range(12)))
        weight = torch.randint(1, 100, (12,), generator=torch.Generator().manual_seed(0)).tolist()
        chosen = choose(weight, seen, at, k=3, selection=selection, suppression=0.2).views
        x = at[chosen, 0, 3]
        assert ((x[:, None] - x).abs() + 10 * torch.eye(3)).min() >= 2 - 1e-9


class TestNearestViews:
    def test_order_and_equal_weights(self):
        found = nearest_views(poses(3, 1, 2, 0), QUERY, 3)
        assert found.views == [3, 1, 2]
        assert found.weights.tolist() == pytest.approx([1 / 3] * 3)

    def test_fewer_than_k(self):
        assert nearest_views(poses(3, 1), QUERY, 4).views == [1, 0]


class TestFillUp:
    def test_with_weight_zero(self):
        found = fill_up(Choice([2], torch.tensor([1.0])), poses(3, 1, 2, 0), QUERY, 3)
        assert found.views == [2, 3, 1]
        assert found.weights.tolist() == [1, 0, 0]

    def test_nothing_chosen(self):
        found = fill_up(Choice([], torch.empty(0)), poses(3, 1, 2, 0), QUERY, 2)
        assert found.views == [3, 1]
        assert found.weights.tolist() == [0.5, 0.5]
