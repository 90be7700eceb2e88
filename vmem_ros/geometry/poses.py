"""Camera poses: camera-to-world ``T_world_camera``, [..., 4, 4] float64, optical axes (x right, y down, z forward).

Distances and averages are computed in float64 on the CPU, so that the same inputs select the same views on every
machine. Rotations go through :class:`scipy.spatial.transform.Rotation`, whose quaternions are x, y, z, w like ROS's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation, Slerp
from torch import Tensor

from vmem_ros.errors import InvalidPoseError

_RIGID_TOLERANCE = 1e-4
# No place on Earth is so far from any origin that maps use.
_FARTHEST_M = 1e9
_LAST_ROW = np.array([0.0, 0.0, 0.0, 1.0])


def as_pose(T_world_camera: Tensor | ArrayLike, name: str = "pose") -> Tensor:
    """Return rigid transforms as float64 on the CPU, or say what is wrong with them.

    :param T_world_camera: [..., 4, 4].
    :returns: [..., 4, 4] float64, a copy; rotations within tolerance are projected onto the nearest exact rotation.
    :raises InvalidPoseError: wrong shape, entries that are not finite or absurd, no rotation, or a last row other than
        0 0 0 1.
    """
    given = torch.as_tensor(T_world_camera, dtype=torch.float64).detach().cpu().clone()
    # For matrices so small, NumPy has the answer before torch has begun; both are the same numbers.
    T = given.numpy()
    if T.ndim < 2 or T.shape[-2:] != (4, 4):
        raise InvalidPoseError(f"{name} must have shape [..., 4, 4], got {list(T.shape)}")
    if not np.isfinite(T).all():
        raise InvalidPoseError(f"{name} has entries that are not finite")
    if (np.abs(T[..., :3, 3]) > _FARTHEST_M).any():
        raise InvalidPoseError(f"{name} is farther than {_FARTHEST_M:g} m from the origin: is its unit metres?")
    if not (np.abs(T[..., 3, :] - _LAST_ROW) < _RIGID_TOLERANCE).all():
        raise InvalidPoseError(f"the last row of {name} must be 0 0 0 1")
    R = T[..., :3, :3]
    deviation = float(np.abs(R @ R.swapaxes(-1, -2) - np.eye(3)).max()) if R.size else 0.0
    if deviation > _RIGID_TOLERANCE or not (np.linalg.det(R) > 0).all():
        raise InvalidPoseError(
            f"the rotation of {name} is not orthonormal and right-handed (deviation {deviation:.2g}, allowed "
            f"{_RIGID_TOLERANCE:g}): normalise the quaternion before sending it"
        )
    if deviation > 1e-12:
        U, _, Vh = np.linalg.svd(R)
        T[..., :3, :3] = U @ Vh
        T[..., 3, :] = _LAST_ROW
    return given


def pose_from(position: ArrayLike, quaternion_xyzw: ArrayLike) -> Tensor:
    """Return [4, 4] from a position in metres and a unit quaternion x, y, z, w.

    :raises InvalidPoseError: see :func:`checked_pose`.
    """
    p, q = checked_pose(position, quaternion_xyzw)
    return as_transform(Rotation.from_quat(q).as_matrix(), p)


def checked_pose(position: ArrayLike, quaternion_xyzw: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return a position [3] in metres and a unit quaternion [4] x, y, z, w as float64.

    :raises InvalidPoseError: non-finite values, or a quaternion whose norm is not 1 within 1e-3.
    """
    p, q = np.asarray(position, np.float64), np.asarray(quaternion_xyzw, np.float64)
    if p.shape != (3,) or q.shape != (4,):
        raise InvalidPoseError(f"position and quaternion need 3 and 4 numbers, got {p.shape} and {q.shape}")
    norm = float(np.linalg.norm(q))
    if not (np.isfinite(p).all() and math.isfinite(norm)):
        raise InvalidPoseError(f"pose is not finite: position {p.tolist()}, quaternion {q.tolist()}")
    if abs(norm - 1) > 1e-3:
        raise InvalidPoseError(f"quaternion {q.tolist()} has norm {norm:.4g}, not 1: normalise it before sending it")
    return p, q


def as_transform(R: np.ndarray, position: np.ndarray) -> Tensor:
    """Return [4, 4] float64 of a rotation [3, 3] and a position [3]."""
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = torch.from_numpy(R)
    T[:3, 3] = torch.from_numpy(position)
    return T


def quaternion_xyzw(T: Tensor) -> np.ndarray:
    """Return the rotations of [..., 4, 4] as unit quaternions [..., 4], order x, y, z, w, with w >= 0."""
    R = T[..., :3, :3].detach().cpu().numpy()
    q = Rotation.from_matrix(R.reshape(-1, 3, 3)).as_quat(canonical=True)
    return q.reshape(*R.shape[:-2], 4)


def invert(T: Tensor) -> Tensor:
    """Return the inverse of rigid transforms [..., 4, 4] (transpose, not a general inverse)."""
    R_inverse = T[..., :3, :3].mT
    inverse = torch.zeros_like(T)
    inverse[..., :3, :3] = R_inverse
    inverse[..., :3, 3] = -(R_inverse @ T[..., :3, 3:]).squeeze(-1)
    inverse[..., 3, 3] = 1
    return inverse


def look_at(eye: ArrayLike, target: ArrayLike, up: ArrayLike = (0.0, 0.0, 1.0)) -> Tensor:
    """Return the pose [4, 4] of a camera at ``eye`` that looks at ``target``, image upright with respect to ``up``.

    :raises InvalidPoseError: ``eye`` equals ``target``, or the view direction is parallel to ``up``.
    """
    e, t, u = (np.asarray(a, np.float64) for a in (eye, target, up))
    forward = t - e
    right = np.cross(forward, u)
    if np.linalg.norm(forward) < 1e-9 or np.linalg.norm(right) < 1e-9 * np.linalg.norm(forward):
        raise InvalidPoseError(f"cannot look from {e.tolist()} at {t.tolist()} with up {u.tolist()}")
    z = forward / np.linalg.norm(forward)
    x = right / np.linalg.norm(right)
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = torch.from_numpy(np.stack([x, np.cross(z, x), z], axis=1))
    T[:3, 3] = torch.from_numpy(e)
    return T


def average_pose(T_world_camera: Tensor) -> Tensor:
    """Return the mean of poses [N, 4, 4] -> [4, 4], as in VMem's supplement, section B.

    Mean translation; quaternions are flipped to the hemisphere of the first, summed and normalised.

    :raises InvalidPoseError: no poses, or rotations that cancel.
    """
    T = as_pose(T_world_camera)
    if T.ndim != 3 or len(T) == 0:
        raise InvalidPoseError(f"average_pose needs [N, 4, 4] with N >= 1, got {list(T.shape)}")
    q = Rotation.from_matrix(T[:, :3, :3].numpy()).as_quat()
    q = np.where((q @ q[0])[:, None] < 0, -q, q).sum(axis=0)
    if np.linalg.norm(q) < 1e-9:
        raise InvalidPoseError("the rotations cancel: they have no mean")
    mean = torch.eye(4, dtype=torch.float64)
    mean[:3, :3] = torch.from_numpy(Rotation.from_quat(q).as_matrix())
    mean[:3, 3] = T[:, :3, 3].mean(dim=0)
    return mean


def interpolate_poses(T_world_camera: Tensor | Sequence[Tensor], times: ArrayLike, at: ArrayLike) -> Tensor:
    """Return poses at times ``at`` [M] -> [M, 4, 4]: linear positions, spherical-linear rotations.

    :param T_world_camera: [N, 4, 4] key poses, N >= 1.
    :param times: [N] strictly increasing. ``at`` is clamped to their range.
    """
    T = as_pose(torch.stack(list(T_world_camera)))
    t, s = np.asarray(times, np.float64), np.asarray(at, np.float64).reshape(-1)
    if t.shape != (len(T),) or (np.diff(t) <= 0).any():
        raise ValueError(f"times must be {len(T)} strictly increasing numbers, got {t.tolist()}")
    out = torch.eye(4, dtype=torch.float64).repeat(len(s), 1, 1)
    if len(T) == 1:
        return T.expand(len(s), 4, 4).clone()
    s = np.clip(s, t[0], t[-1])
    out[:, :3, :3] = torch.from_numpy(Slerp(t, Rotation.from_matrix(T[:, :3, :3].numpy()))(s).as_matrix())
    positions = T[:, :3, 3].numpy()
    out[:, :3, 3] = torch.from_numpy(np.stack([np.interp(s, t, positions[:, i]) for i in range(3)], axis=1))
    return out


def geodesic_distance(A: Tensor, B: Tensor, *, translation_weight: float = 0.1) -> Tensor:
    """Return rotation angle in radians + ``translation_weight`` * distance in metres between poses, float64.

    :param A: [..., 4, 4]; ``B`` broadcasts against it. Result [...].
    The angle comes from the chord ``|Ra - Rb|_F = 2 sqrt(2) sin(angle / 2)``, which is exact at small angles, where
    the arc cosine of the trace loses half its digits (a pose's distance to itself is exactly 0).
    """
    A, B = A.to(torch.float64), B.to(torch.float64)
    chord = torch.linalg.matrix_norm(A[..., :3, :3] - B[..., :3, :3]) / (2 * math.sqrt(2))
    angle = 2 * torch.asin(chord.clamp(max=1.0))
    return angle + translation_weight * torch.linalg.vector_norm(A[..., :3, 3] - B[..., :3, 3], dim=-1)
