"""Pluecker maps, mean poses and pose distances against the arrays computed from the published implementation."""

import math

import numpy as np
import pytest
import torch

from vmem_ros.geometry import Camera, average_pose, geodesic_distance, invert, plucker_rays, pose_from


@pytest.fixture(scope="module")
def arrays(reference_dir):
    return np.load(reference_dir / "conditioning.npz")


@pytest.fixture(scope="module")
def poses(arrays):
    return torch.from_numpy(arrays["in.c2w_f64"])


def normalised(K: np.ndarray, width: int, height: int) -> Camera:
    """Return the camera of intrinsics that are divided by the image size."""
    return Camera(K * np.array([[width], [height], [1]]), width, height)


@pytest.mark.parametrize(
    ("case", "intrinsics", "image"),
    [
        ("norm72", "Knorm", None),
        ("pix72", "Kpix", (576, 576)),
        ("norm_rect", "Knorm", None),
        # The published code divides x by the height and y by the width of a 576 x 288 image.
        ("pix_rect", "Krect", (288, 576)),
        ("skew", "Kskew", None),
    ],
)
def test_plucker(arrays, poses, case, intrinsics, image):
    height, width = arrays[f"plucker.{case}.size"].tolist()
    Ks = arrays[f"in.{intrinsics}_f64"]
    cameras = [normalised(K, width, height) if image is None else Camera(K, *image) for K in Ks]
    rays = plucker_rays(cameras, poses, height=height, width=width)
    subsampled = f"plucker.{case}.f64.sub4" in arrays
    expected = arrays[f"plucker.{case}.f64.sub4" if subsampled else f"plucker.{case}.f64"]
    stride = 4 if subsampled else 1
    np.testing.assert_allclose(rays[..., ::stride, ::stride].numpy(), expected, rtol=0, atol=1e-12)
    checksum = [rays.sum().item(), rays.square().sum().item()]
    np.testing.assert_allclose(checksum, arrays[f"plucker.{case}.checksum_f64"], rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_average_pose(arrays, poses, n):
    np.testing.assert_allclose(average_pose(poses[:n]).numpy(), arrays[f"avgpose.f64.n{n}"], rtol=0, atol=1e-12)


def test_average_pose_across_hemispheres(arrays):
    mean = average_pose(torch.from_numpy(arrays["avgpose.flip.in"]))
    np.testing.assert_allclose(mean.numpy(), arrays["avgpose.flip.out"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("weight", "key"), [(0.1, "w0.1"), (1.0, "w1"), (0.01, "util.w0.01")])
def test_geodesic_distance(arrays, poses, weight, key):
    found = geodesic_distance(poses[:, None], poses[None], translation_weight=weight).numpy()
    # Theirs is the arc cosine of the trace: 2e-8 off where the angle is small, even in float64.
    np.testing.assert_allclose(found, arrays[f"geodesic.{key}.f64"], rtol=0, atol=1e-7)


def test_geodesic_distance_of_a_half_turn(arrays):
    half_turn = pose_from((0, 0, 0), (0, 0, 1, 0))
    found = geodesic_distance(torch.eye(4), half_turn).item()
    assert found == pytest.approx(arrays["geodesic.180deg"].item())
    assert found == pytest.approx(math.pi)


def test_inverse(arrays, poses):
    np.testing.assert_allclose(invert(poses).numpy(), arrays["in.w2c_f64"], rtol=0, atol=1e-12)
