"""Strategies that property-based tests share. Importing it takes hypothesis' time limit away: machines differ."""

import numpy as np
import torch
from hypothesis import assume, settings
from hypothesis import strategies as st

from vmem_ros.geometry import pose_from

settings.register_profile("vmem", deadline=None, max_examples=30)
settings.load_profile("vmem")

unit = st.floats(-1, 1, allow_nan=False, width=32)
coordinate = st.floats(-100, 100, allow_nan=False, width=32)
points = st.tuples(coordinate, coordinate, coordinate)


@st.composite
def quaternions(draw: st.DrawFn) -> np.ndarray:
    """Unit quaternions x, y, z, w."""
    q = np.array([draw(unit) for _ in range(4)])
    assume(np.linalg.norm(q) > 0.1)
    return q / np.linalg.norm(q)


@st.composite
def poses(draw: st.DrawFn) -> torch.Tensor:
    """Rigid transforms [4, 4] float64."""
    return pose_from(draw(points), draw(quaternions()))
