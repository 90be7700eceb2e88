"""Paths of a camera around a view."""

import pytest
import torch

from vmem_ros.showcase.camera_paths import trajectory
from walls import START


@pytest.mark.parametrize("name", ["loop", "orbit", "out_and_back", "spin"])
def test_paths_return_exactly_and_scale_with_the_scene(name):
    near, far = (trajectory(name, START, distance_m=d, n=13) for d in (1.0, 2.0))
    assert torch.equal(near[0], START)
    assert torch.equal(near[-1], near[0])
    assert torch.allclose((far - START)[:, :3, 3], 2 * (near - START)[:, :3, 3], atol=1e-9)
    assert float((near - START).abs().max()) > 0.1
    rotation = near[:, :3, :3]
    assert torch.allclose(rotation @ rotation.mT, torch.eye(3, dtype=torch.float64).expand(13, 3, 3), atol=1e-9)


def test_out_and_back_has_exact_twins():
    path = trajectory("out_and_back", START, distance_m=2.0, n=11)
    assert torch.equal(path, path.flip(0))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"name": "figure_eight", "distance_m": 1.0, "n": 9}, "one of loop, orbit, out_and_back, spin"),
        ({"name": "loop", "distance_m": 0.0, "n": 9}, "positive"),
        ({"name": "loop", "distance_m": 1.0, "n": 2}, "at least 3"),
    ],
)
def test_impossible_paths_are_refused(arguments, complaint):
    with pytest.raises(ValueError, match=complaint):
        trajectory(arguments.pop("name"), START, **arguments)
