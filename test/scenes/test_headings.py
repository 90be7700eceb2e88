"""Where cameras on a path look."""

import math

import numpy as np
import torch

from vmem_ros.scenes.headings import face_open_space


def test_cameras_face_the_open_side_and_the_loop_closes():
    path = torch.eye(4, dtype=torch.float64).repeat(9, 1, 1)
    angle = torch.linspace(0, 2 * math.pi, 9, dtype=torch.float64)
    path[:, 0, 3], path[:, 1, 3], path[:, 2, 3] = angle.cos() * 0.3, angle.sin() * 0.3, 1.4
    path[-1] = path[0]
    # A corridor along +x: everything else is wall.
    out = face_open_space(path, lambda p: (np.abs(p[:, 1]) < 0.5) & (p[:, 0] > -0.5), pitch=-0.1)
    assert torch.equal(out[0], out[-1])
    assert float(out[:, 0, 2].min()) > 0.8
    places = {tuple(p) for p in out[:-1, :3, 3].tolist()}
    assert places == {tuple(p) for p in path[:-1, :3, 3].tolist()}
