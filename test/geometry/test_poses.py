"""Axioms of rigid transforms, their means, distances and interpolations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from properties import points, poses, quaternions
from vmem_ros.errors import InvalidPoseError
from vmem_ros.geometry import (
    as_pose,
    average_pose,
    geodesic_distance,
    interpolate_poses,
    invert,
    look_at,
    pose_from,
    quaternion_xyzw,
    transform,
)


def near_poses(n: int, seed: int, *, angle: float = 1.0) -> torch.Tensor:
    """Return [n, 4, 4] poses whose rotations differ by less than 2 * angle, so that no two lie opposite."""
    rng = np.random.default_rng(seed)
    base = Rotation.random(random_state=seed)
    axes = rng.normal(size=(n, 3))
    axes *= (rng.uniform(0, angle, n) / np.linalg.norm(axes, axis=1))[:, None]
    turned = base * Rotation.from_rotvec(axes)
    return torch.stack([pose_from(rng.uniform(-5, 5, 3), q) for q in turned.as_quat()])


def close(A: torch.Tensor, B: torch.Tensor, atol: float = 1e-9) -> bool:
    return torch.allclose(A, B, rtol=0, atol=atol)


class TestInvert:
    @given(poses())
    def test_is_the_inverse(self, T):
        eye = torch.eye(4, dtype=torch.float64)
        assert close(T @ invert(T), eye)
        assert close(invert(T) @ T, eye)

    @given(poses())
    def test_twice_is_nothing(self, T):
        assert close(invert(invert(T)), T)

    @given(poses(), poses())
    def test_reverses_products(self, A, B):
        assert close(invert(A @ B), invert(B) @ invert(A))

    def test_batches(self):
        T = near_poses(6, 0).view(2, 3, 4, 4)
        assert invert(T).shape == (2, 3, 4, 4)
        assert close(invert(T)[1, 2], torch.linalg.inv(T[1, 2]))

    @given(poses(), poses(), points)
    def test_transform_composes(self, A, B, p):
        p = torch.tensor([p], dtype=torch.float64)
        assert close(transform(A @ B, p), transform(A, transform(B, p)), atol=1e-8)


class TestAsPose:
    @pytest.mark.parametrize("shape", [(4,), (3, 4), (4, 3), (2, 3, 3)])
    def test_wrong_shape(self, shape):
        with pytest.raises(InvalidPoseError, match="shape"):
            as_pose(torch.zeros(shape))

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    @pytest.mark.parametrize("entry", [(0, 0), (1, 3), (3, 3)])
    def test_not_finite(self, value, entry):
        T = torch.eye(4)
        T[entry] = value
        with pytest.raises(InvalidPoseError, match="not finite"):
            as_pose(T)

    def test_absurdly_far(self):
        T = torch.eye(4, dtype=torch.float64)
        T[0, 3] = 1e39
        with pytest.raises(InvalidPoseError, match="is its unit metres"):
            as_pose(T)

    def test_last_row(self):
        T = torch.eye(4)
        T[3, 0] = 0.5
        with pytest.raises(InvalidPoseError, match="last row"):
            as_pose(T)

    @pytest.mark.parametrize("rotation", [torch.zeros(3, 3), 2 * torch.eye(3), torch.diag(torch.tensor([1.0, 1, -1]))])
    def test_no_rotation(self, rotation):
        T = torch.eye(4)
        T[:3, :3] = rotation
        with pytest.raises(InvalidPoseError, match="orthonormal"):
            as_pose(T)

    def test_transposed_matrix_is_refused(self):
        T = torch.eye(4)
        T[:3, 3] = torch.tensor([1.0, 2, 3])
        with pytest.raises(InvalidPoseError):
            as_pose(T.mT)

    @given(poses())
    def test_float32_rotations_become_exact(self, T):
        R = as_pose(T.float())[:3, :3]
        assert R.dtype == torch.float64
        assert close(R @ R.mT, torch.eye(3, dtype=torch.float64), atol=1e-12)
        assert close(R, T[:3, :3], atol=1e-6)


class TestQuaternions:
    @given(points, quaternions())
    def test_round_trip(self, p, q):
        T = pose_from(p, q)
        back = quaternion_xyzw(T)
        assert back[3] >= 0
        assert min(np.abs(back - q).max(), np.abs(back + q).max()) < 1e-9
        assert T[:3, 3].tolist() == list(p)

    def test_order_is_x_y_z_w(self):
        quarter_about_z = pose_from((0, 0, 0), (0, 0, math.sqrt(0.5), math.sqrt(0.5)))
        assert close(quarter_about_z[:3, 0], torch.tensor([0.0, 1, 0], dtype=torch.float64))

    def test_batches(self):
        assert quaternion_xyzw(near_poses(6, 1).view(2, 3, 4, 4)).shape == (2, 3, 4)

    @pytest.mark.parametrize("q", [(0, 0, 0, 0), (0, 0, 0, 2), (0, 0, 0, math.nan), (1, 1, 1, 1)])
    def test_not_unit(self, q):
        with pytest.raises(InvalidPoseError, match="quaternion"):
            pose_from((0, 0, 0), q)

    def test_position_not_finite(self):
        with pytest.raises(InvalidPoseError, match="finite"):
            pose_from((0, math.inf, 0), (0, 0, 0, 1))


class TestLookAt:
    @given(points, points)
    def test_axes(self, eye, target):
        e, t = np.array(eye), np.array(target)
        assume(np.linalg.norm((t - e)[:2]) > 0.1)
        T = as_pose(look_at(eye, target))
        x, y, z = (T[:3, i].numpy() for i in range(3))
        assert np.allclose(z, (t - e) / np.linalg.norm(t - e), atol=1e-9)
        assert abs(x[2]) < 1e-9, "the image is not level"
        assert y[2] < 0, "the image is upside down"
        assert T[:3, 3].tolist() == list(eye)

    @pytest.mark.parametrize("target", [(1, 2, 3), (1, 2, 9), (1, 2, -9)])
    def test_no_direction(self, target):
        with pytest.raises(InvalidPoseError, match="cannot look"):
            look_at((1, 2, 3), target)


class TestAveragePose:
    @given(st.integers(0, 10_000), st.integers(2, 6))
    def test_order_of_all_but_the_first_is_free(self, seed, n):
        T = near_poses(n, seed)
        shuffled = torch.cat([T[:1], T[1:][torch.randperm(n - 1)]])
        assert close(average_pose(shuffled), average_pose(T))

    @given(poses())
    def test_of_equal_poses_is_the_pose(self, T):
        assert close(average_pose(T.repeat(4, 1, 1)), T)

    @given(st.integers(0, 10_000))
    def test_is_idempotent(self, seed):
        mean = average_pose(near_poses(5, seed))
        assert close(average_pose(torch.stack([mean, mean])), mean)

    @given(st.integers(0, 10_000), poses())
    def test_moves_with_the_world(self, seed, A):
        T = near_poses(4, seed)
        assert close(average_pose(A @ T), A @ average_pose(T), atol=1e-7)

    def test_signs_of_quaternions_do_not_matter(self):
        # 170 and -170 degrees about z: the naive sum of canonical quaternions would give 0 degrees, not 180.
        ends = [pose_from((0, 0, 0), Rotation.from_euler("z", a, degrees=True).as_quat()) for a in (170, -170)]
        half_turn = pose_from((0, 0, 0), (0, 0, 1, 0))
        assert close(average_pose(torch.stack(ends)), half_turn)

    def test_mean_of_two_is_half_way(self):
        A, B = near_poses(2, 3)
        middle = interpolate_poses([A, B], [0, 1], [0.5])[0]
        assert close(average_pose(torch.stack([A, B])), middle)

    @pytest.mark.parametrize("T", [torch.empty(0, 4, 4), torch.eye(4)])
    def test_needs_a_list(self, T):
        with pytest.raises(InvalidPoseError, match="N >= 1"):
            average_pose(T)


class TestInterpolate:
    @given(st.integers(0, 10_000), st.integers(2, 5))
    def test_passes_through_the_keys(self, seed, n):
        T = near_poses(n, seed)
        times = np.arange(n) * 0.7 + 3
        assert close(interpolate_poses(T, times, times), T)

    @given(st.integers(0, 10_000), st.floats(0, 1))
    def test_divides_angle_and_distance(self, seed, s):
        A, B = near_poses(2, seed)
        at = interpolate_poses([A, B], [0, 1], [s])[0]
        for weight in (0.0, 0.1):
            whole = geodesic_distance(A, B, translation_weight=weight)
            assert math.isclose(geodesic_distance(A, at, translation_weight=weight), s * whole, abs_tol=1e-6)

    def test_is_clamped_to_its_range(self):
        T = near_poses(2, 5)
        assert close(interpolate_poses(T, [1, 2], [-5, 9]), T)

    def test_one_key_stands_still(self):
        T = near_poses(1, 5)
        assert close(interpolate_poses(T, [4], [0, 4, 9]), T.expand(3, 4, 4))

    @pytest.mark.parametrize("times", [[0, 0], [1, 0], [0], [0, 1, 2]])
    def test_times_must_rise(self, times):
        with pytest.raises(ValueError, match="strictly increasing"):
            interpolate_poses(near_poses(2, 0), times, [0])


class TestGeodesicDistance:
    @given(poses())
    def test_to_itself_is_exactly_zero(self, T):
        assert geodesic_distance(T, T).item() == 0.0

    @given(poses(), poses())
    def test_is_symmetric_and_not_negative(self, A, B):
        assert geodesic_distance(A, B).item() == geodesic_distance(B, A).item() >= 0

    @given(poses(), poses(), poses())
    def test_triangle(self, A, B, C):
        assert geodesic_distance(A, C) <= geodesic_distance(A, B) + geodesic_distance(B, C) + 1e-7

    @given(poses(), poses(), poses())
    def test_does_not_depend_on_the_world_frame(self, A, B, W):
        assert math.isclose(geodesic_distance(W @ A, W @ B), geodesic_distance(A, B), abs_tol=1e-6)

    @given(quaternions(), st.floats(1e-9, 3.1))
    def test_angle_is_exact_however_small(self, q, angle):
        R = Rotation.from_quat(q)
        turned = R * Rotation.from_rotvec([0, 0, angle])
        A, B = pose_from((0, 0, 0), R.as_quat()), pose_from((0, 0, 0), turned.as_quat())
        assert math.isclose(geodesic_distance(A, B), angle, rel_tol=1e-6, abs_tol=1e-14)

    @given(poses(), points, st.floats(0, 2))
    def test_translation_is_weighted(self, A, p, weight):
        B = A.clone()
        B[:3, 3] = torch.tensor(p)
        expected = weight * float((A - B)[:3, 3].norm())
        assert math.isclose(geodesic_distance(A, B, translation_weight=weight), expected, rel_tol=1e-9, abs_tol=1e-12)

    def test_broadcasts(self):
        T = near_poses(3, 7)
        assert geodesic_distance(T[:, None], T[None]).shape == (3, 3)
