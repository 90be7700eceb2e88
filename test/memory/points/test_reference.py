"""Spatia's arithmetic against arrays computed with the published code."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vmem_ros.geometry import Camera, invert
from vmem_ros.memory.points import match_references, render_points, shared_points, voxel_means


@pytest.fixture(scope="module")
def others(reference_dir: Path) -> Path:
    folder = reference_dir / "others"
    if not folder.is_dir():
        pytest.skip(f"no reference arrays at {folder}")
    return folder


def arrays(folder: Path, name: str) -> dict[str, NDArray]:
    with np.load(folder / f"{name}.npz") as file:
        return dict(file)


def camera_of(K: NDArray, height: int, width: int) -> Camera:
    fx, fy, cx, cy = K.tolist()
    return Camera(torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), width, height)


def sorted_rows(points: torch.Tensor, colors: torch.Tensor) -> tuple[NDArray, NDArray]:
    order = np.lexsort(points.numpy().T[::-1])
    return points.numpy()[order], colors.numpy()[order]


@pytest.mark.parametrize("voxel", [0.25, 0.5])
def test_voxel_means(others: Path, voxel: float) -> None:
    data = arrays(others, "spatia_voxel")
    points, colors = torch.from_numpy(data["points"]), torch.from_numpy(data["colors"])
    found = sorted_rows(*voxel_means(points, colors, voxel, points.amin(dim=0) - voxel / 2))
    np.testing.assert_array_equal(found[0], data[f"points_{voxel}"])
    np.testing.assert_array_equal(found[1], data[f"colors_{voxel}"])


def test_an_outlier_moves_the_published_grid_and_not_one_of_the_world(others: Path) -> None:
    data = arrays(others, "spatia_voxel")
    points = torch.from_numpy(np.vstack([data["points"], data["outlier"]]))
    colors = torch.zeros_like(points)
    published, _ = voxel_means(points, colors, 0.25, points.amin(dim=0) - 0.125)
    np.testing.assert_array_equal(sorted_rows(published, published)[0], data["points_0.25_with_outlier"])
    still = torch.zeros(3, dtype=torch.float64)
    without, _ = voxel_means(points[:-1], colors[:-1], 0.25, still)
    with_it, _ = voxel_means(points, colors, 0.25, still)
    same = (without[:, None] == with_it).all(dim=-1).any(dim=1)
    assert len(with_it) == len(without) + 1
    assert same.all()


@pytest.mark.parametrize("case", ["centered", "offcenter", "tall", "default_radius"])
def test_picture_and_coverage(others: Path, case: str) -> None:
    data = arrays(others, "spatia_render")
    expected = torch.from_numpy(data[f"{case}__image"])
    camera = camera_of(data[f"{case}__K"], *expected.shape[1:3])
    # These rotations are rounded: their transposes are not quite their inverses, and it shows.
    T_world_camera = torch.linalg.inv(torch.from_numpy(data["w2c"]).double())
    image, coverage = render_points(
        torch.from_numpy(data["points"]),
        torch.from_numpy(data["colors"]),
        [camera] * len(expected),
        T_world_camera,
        radius=float(data[f"{case}__radius"]),
        convention="published",
    )
    tolerance = 2e-5 if case != "default_radius" or rounds_as_published(T_world_camera) else 6e-5
    torch.testing.assert_close(image, expected, rtol=0, atol=tolerance)
    torch.testing.assert_close(coverage, torch.from_numpy(data[f"{case}__coverage"]), rtol=0, atol=tolerance)


def rounds_as_published(T_world_camera: torch.Tensor) -> bool:
    """Return whether this machine's LAPACK rounds inverses in single precision as the one behind the arrays did.

    Disks of the default radius show it: where the last bits of the poses differ, they differ by up to 6e-5.
    """
    digest = hashlib.sha256()
    for T in T_world_camera:
        there = torch.linalg.inv(torch.linalg.inv(T).float())
        digest.update(there.numpy().tobytes() + torch.linalg.inv(there).numpy().tobytes())
    return digest.hexdigest().startswith("1da9ff90f0bb7d99")


@pytest.mark.parametrize("cx", [15.0, 20.0])
def test_the_principal_point_is_where_the_camera_says(cx: float) -> None:
    """A point on the axis: published, it lands on the other side of the middle."""
    camera = Camera(torch.tensor([[30.0, 0, cx], [0, 30.0, 12.0], [0, 0, 1]]), 40, 24)
    point, here = torch.tensor([[0.0, 0, 2]]), torch.eye(4, dtype=torch.float64)[None]
    columns = {}
    for convention in ("pixel", "published"):
        _, coverage = render_points(point, torch.ones(1, 3), [camera], here, radius=0.3, convention=convention)
        weight = coverage[0].sum(dim=0)
        columns[convention] = float((weight * torch.arange(40)).sum() / weight.sum())
    assert columns["pixel"] == pytest.approx(cx - 0.5, abs=0.05)
    assert columns["published"] == pytest.approx({15.0: 24.2, 20.0: 18.98}[cx], abs=0.05)


def test_shared_points(others: Path) -> None:
    data = arrays(others, "spatia_retrieval")
    camera = camera_of(data["K"], *data["image_size"].tolist())
    targets, views = (invert(torch.from_numpy(data[f"{name}_w2c"]).double()) for name in ("target", "history"))
    counts = shared_points(torch.from_numpy(data["points"]), camera, targets, views, convention="published")
    assert counts.tolist() == data["shared"].tolist()


def test_matching(others: Path) -> None:
    data = arrays(others, "spatia_retrieval")
    counts = torch.from_numpy(data["shared"])
    expected = torch.from_numpy(data["hungarian"])
    found = match_references(counts)
    shares = counts[torch.arange(len(counts)), expected] > 0
    assert torch.equal(found[shares], expected[shares])
    assert (found[~shares] == -1).all(), "a view that shares nothing is no reference"
    assert (~shares).any()
    large = match_references(torch.from_numpy(data["large_shared"]))
    assert large.tolist() == data["large_fp32_hungarian"].tolist()
    # Rounded to eight bits of precision, as the published code rounds them, these tie and the wrong one wins.
    rounded = match_references(torch.from_numpy(data["large_shared"]).bfloat16().long())
    assert rounded.tolist() != large.tolist()


class TestMatching:
    """What the published code raises for, or does without a word."""

    counts = torch.tensor([[5, 4], [9, 8], [0, 0], [1, 0]])

    def test_fewer_views_than_targets(self) -> None:
        """Those that share most together get one; nobody raises."""
        assert match_references(self.counts).tolist() == [1, 0, -1, -1]

    def test_more_views_than_targets(self) -> None:
        assert match_references(self.counts.T).tolist() == [1, 0]

    def test_at_most_so_many(self) -> None:
        assert match_references(self.counts, 1).tolist() == [1, -1, -1, -1]
        assert match_references(self.counts, 0).tolist() == [-1] * 4

    def test_the_least(self) -> None:
        assert match_references(self.counts, least=5).tolist() == [0, 1, -1, -1]

    def test_no_views(self) -> None:
        assert match_references(torch.zeros(3, 0, dtype=torch.int64)).tolist() == [-1] * 3


def test_left_of_the_picture_is_not_its_first_column() -> None:
    """Published, -0.4 is cut off to 0."""
    camera = Camera(torch.tensor([[10.0, 0, 5], [0, 10.0, 5], [0, 0, 1]]), 10, 10)
    point = torch.tensor([[-0.54, 0.0, 1.0]])
    here = torch.eye(4, dtype=torch.float64)[None]
    assert shared_points(point, camera, here, here).tolist() == [[0]]
    assert shared_points(point, camera, here, here, convention="published").tolist() == [[1]]


def test_a_convention_that_is_none() -> None:
    here = torch.eye(4, dtype=torch.float64)[None]
    camera = Camera.from_fov(8, 6, 80)
    with pytest.raises(ValueError, match="pixel, published"):
        render_points(torch.ones(1, 3), torch.ones(1, 3), [camera], here, convention="paper")
    with pytest.raises(ValueError, match="pixel, published"):
        shared_points(torch.ones(1, 3), camera, here, here, convention="paper")
