"""The baseline that answers with the nearest view of a camera."""

import pytest

from vmem_ros.evaluation.nearest_view import nearest_view
from vmem_ros.showcase.camera_paths import trajectory
from vmem_ros.types import Target
from walls import CAMERA, START, two_walls


def test_the_nearest_view_is_the_nearest_in_pose():
    poses = trajectory("spin", START, distance_m=1.0, n=9)[:-1]
    views = [two_walls(T) for T in poses]
    for i, T in enumerate(poses):
        moved = T.clone()
        moved[:3, 3] += 0.05
        assert nearest_view(Target(CAMERA, moved), views) is views[i]
    with pytest.raises(ValueError, match="nearest view of none"):
        nearest_view(Target(CAMERA, START), [])
