"""Mirage's geometry against arrays computed with the published code, and with the paper's equations."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vmem_ros.geometry import Camera
from vmem_ros.memory.latent import (
    Lifted,
    best_overlap,
    grid_intrinsics,
    in_view,
    lift,
    voxel_overlap,
    voxels_of,
    warp,
)

GRID = (8, 12)


@pytest.fixture(scope="module")
def others(reference_dir: Path) -> Path:
    folder = reference_dir / "others"
    if not folder.is_dir():
        pytest.skip(f"no reference arrays at {folder}")
    return folder


def tensors(folder: Path, name: str) -> dict[str, torch.Tensor]:
    with np.load(folder / f"{name}.npz") as file:
        return {key: torch.from_numpy(value) for key, value in file.items()}


@pytest.fixture(scope="module")
def cloud(others: Path) -> dict[str, torch.Tensor]:
    return tensors(others, "mirage_point_cloud")


def joined(parts: list[Lifted]) -> Lifted:
    return Lifted(*(torch.cat(each) for each in zip(*parts, strict=True)))


def without_holes(lifted: Lifted) -> Lifted:
    return Lifted(*(each[lifted.mask] for each in lifted))


def of_view(data: dict[str, torch.Tensor], number: int, mask: torch.Tensor | None, geometry: str, **options) -> Lifted:
    latents = data["latents"][:, number]
    return lift(latents, data[f"depth{number}"], data["K"], data["c2w"][number], mask, geometry, **options)


def three_views(data: dict[str, torch.Tensor]) -> Lifted:
    """The cloud of the first view, holes and all, and what two updates appended."""
    later = [without_holes(of_view(data, i, data["update_masks"][i - 1], "released")) for i in (1, 2)]
    return joined([of_view(data, 0, data["mask0"], "released"), *later])


def same_places(points: torch.Tensor, reference: torch.Tensor) -> bool:
    """Return whether points are where the reference has them, but for how a processor rounds four products."""
    return points.shape == reference.shape and torch.allclose(points, reference, rtol=1e-6, atol=1e-6)


def check_projections(data: dict[str, torch.Tensor], lifted: Lifted, name: str, geometry: str) -> None:
    for number, (T, K) in enumerate(zip(data["targets"], data["target_intrinsics_latent"], strict=True)):
        found = warp(lifted, K, T, GRID, geometry)
        assert torch.equal(found.features, data[f"{name}{number}_features"])
        assert torch.equal(found.mask, data[f"{name}{number}_seen"])
        if f"{name}{number}_source" in data:
            assert torch.equal(found.source, data[f"{name}{number}_source"])


class TestReleased:
    def test_lift(self, cloud: dict[str, torch.Tensor]) -> None:
        found = of_view(cloud, 0, cloud["mask0"], "released")
        assert torch.equal(found.points, cloud["lift0_points_world"])
        assert torch.equal(found.features, cloud["lift0_features"])
        assert torch.equal(found.mask, cloud["lift0_valid_mask"])
        K = grid_intrinsics(cloud["K"], 192, 128, 12, 8, dtype=torch.float32)
        assert torch.equal(K, cloud["lift0_intrinsics_latent"])

    def test_merge(self, cloud: dict[str, torch.Tensor]) -> None:
        found = three_views(cloud)
        assert same_places(found.points, cloud["merged_points_world"])
        assert torch.equal(found.features, cloud["merged_features"])
        assert torch.equal(found.mask, cloud["merged_valid_mask"])

    def test_projections(self, cloud: dict[str, torch.Tensor]) -> None:
        check_projections(cloud, of_view(cloud, 0, cloud["mask0"], "released"), "one_view_project", "released")
        check_projections(cloud, three_views(cloud), "three_views_project", "released")


class TestPaper:
    @pytest.mark.parametrize(("name", "sampling"), [("bilinear", "bilinear"), ("nearest_valid", "nearest")])
    def test_lift_and_warp(self, cloud: dict[str, torch.Tensor], name: str, sampling: str) -> None:
        found = of_view(cloud, 0, cloud["mask0"], "paper", sampling=sampling)
        assert torch.equal(found.points, cloud[f"paper_{name}_points_world"])
        assert torch.equal(found.mask, cloud[f"paper_{name}_valid"])
        check_projections(cloud, found, f"paper_{name}_project", "paper")

    def test_it_is_the_default(self, cloud: dict[str, torch.Tensor]) -> None:
        found = lift(cloud["latents"][:, 0], cloud["depth0"], cloud["K"], cloud["c2w"][0], cloud["mask0"])
        assert torch.equal(found.points, cloud["paper_nearest_valid_points_world"])
        shown = warp(found, cloud["target_intrinsics_latent"][0], cloud["targets"][0], GRID)
        assert torch.equal(shown.source, cloud["paper_nearest_valid_project0_source"])


class TestRollout:
    """The geometry of three chunks: what the network was shown, and which frames were its references."""

    def test_scenes_and_references(self, others: Path) -> None:
        data, about = tensors(others, "mirage_rollout"), json.loads((others / "mirage_rollout.json").read_text())
        camera = Camera(data["K"], 96, 64)
        K, poses = grid_intrinsics(data["K"], 96, 64, 6, 4, dtype=torch.float32), data["poses_c2w"]

        def lifted(latents: torch.Tensor, frame: int, mask: torch.Tensor | None = None) -> Lifted:
            return lift(latents, data["depths"][frame // 4], data["K"], poses[frame], mask, "released")

        parts = [lifted(data["chunk0_first_latent"][0, :, 0], 0, ~data["masks0"])]
        seen: list[torch.Tensor] = []  # the voxels of each latent frame, fixed when it is written
        for chunk, step in enumerate(about["iterations"]):
            memory, frames = joined(parts), step["target_pose_indices"]
            scene = torch.stack([warp(memory, K, poses[f], (4, 6), "released").features for f in frames], dim=1)
            assert torch.equal(scene, data[f"chunk{chunk}_target_scene"])

            ahead = voxels_of(memory.points[in_view(memory.points, camera, poses[frames]) & memory.mask], 0.1)
            overlap = voxel_overlap(ahead, seen)
            expected = about["iou_per_chunk"][chunk]
            # Points on the border of two voxels fall to either side, as a processor rounds.
            assert overlap.tolist() == pytest.approx([expected[str(i)] for i in range(len(seen))], abs=0.05)
            assert best_overlap(overlap, 4) == step["reference_indices"]

            written = about["update_pose_indices"][chunk]
            assert len(memory.points) == about["points_before_after_update"][chunk][0]
            latents = data[f"chunk{chunk}_output_latents"][0][:, -len(written) :]
            parts += [without_holes(lifted(latents[:, n], frame)) for n, frame in enumerate(written)]
            memory = joined(parts)
            assert len(memory.points) == about["points_before_after_update"][chunk][1]
            for frame in written:
                mine = in_view(memory.points, camera, poses[frame : frame + 1]) & memory.mask
                seen.append(voxels_of(memory.points[mine], 0.1))
