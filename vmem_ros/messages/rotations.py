"""Single rotations of ROS: quaternions of messages, and roll, pitch, yaw of parameters, launch files and examples.

They go through ``transforms3d`` where it is installed (``python3-transforms3d``, which other packages of a robot have
too), and through scipy elsewhere. This is the one place that knows that transforms3d puts w first and ROS puts it last.
Batches stay in :mod:`vmem_ros.geometry`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

try:
    from transforms3d import euler, quaternions
except ImportError:
    euler = quaternions = None

#: What turns rotations, in words.
SOURCE = "transforms3d" if quaternions else "scipy (transforms3d is not installed: pip install transforms3d)"


def matrix_from_xyzw(quaternion_xyzw: ArrayLike) -> NDArray[np.float64]:
    """Return [3, 3] of a quaternion x, y, z, w of any length but 0."""
    x, y, z, w = np.asarray(quaternion_xyzw, np.float64)
    if quaternions is None:
        return np.asarray(Rotation.from_quat([x, y, z, w]).as_matrix())
    return np.asarray(quaternions.quat2mat([w, x, y, z]))


def xyzw_from_matrix(R: ArrayLike) -> NDArray[np.float64]:
    """Return the unit quaternion x, y, z, w of a rotation [3, 3], with w >= 0."""
    matrix = np.asarray(R, np.float64)
    if quaternions is None:
        return np.asarray(Rotation.from_matrix(matrix).as_quat(canonical=True))
    w, x, y, z = quaternions.mat2quat(matrix)
    return np.array([x, y, z, w])


def matrix_from_rpy(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    """Return [3, 3] of angles in radians about the fixed axes x, y, z in this order, as ROS means them (REP-103)."""
    if euler is None:
        return np.asarray(Rotation.from_euler("xyz", [roll, pitch, yaw]).as_matrix())
    return np.asarray(euler.euler2mat(roll, pitch, yaw, axes="sxyz"))
