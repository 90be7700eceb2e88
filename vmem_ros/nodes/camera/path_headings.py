"""Where a camera looks along a path that says only where to go, as those of many planners do."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

# The chord to the place so far ahead is the heading, because planners on grids zigzag from cell to cell. What is behind
# counts for nothing, so that a plan that is made anew from farther on has the same headings.
_CHORD_M = 0.4
_STANDSTILL_M = 1e-6


def look_ahead(poses: Tensor, *, keep_last: bool) -> Tensor:
    """Return poses of a level link that looks along the path through the given ones, more of them in corners.

    Along a stretch straight up or down the heading before it stays. A path that goes nowhere comes back as it is.

    :param poses: [N, 4, 4], in a world with z up. Result [M, 4, 4].
    :param keep_last: end with the last pose as it is given: there the link turns to it on the spot.
    """
    places = poses[:, :3, 3].numpy()
    lengths = np.linalg.norm(np.diff(places, axis=0), axis=1)
    places = places[np.concatenate([[True], lengths > _STANDSTILL_M])]
    along = np.concatenate([[0.0], np.cumsum(lengths[lengths > _STANDSTILL_M])])

    def at(metres: NDArray[np.float64]) -> NDArray[np.float64]:
        clipped = np.clip(metres, 0.0, along[-1])
        return np.stack([np.interp(clipped, along, places[:, i]) for i in range(3)], axis=1)

    stations = np.unique(np.concatenate([along, np.arange(0.0, along[-1], _CHORD_M / 2)]))
    begin = np.minimum(stations, max(along[-1] - _CHORD_M, 0.0))
    chord = (at(begin + _CHORD_M) - at(begin))[:, :2]
    known = np.linalg.norm(chord, axis=1) > _STANDSTILL_M
    if not known.any():
        return poses
    # Where the chord says nothing, the last station that does, at the beginning the first.
    source = np.maximum.accumulate(np.where(known, np.arange(len(known)), known.argmax()))
    yaws = np.arctan2(chord[source, 1], chord[source, 0])
    looking = torch.eye(4, dtype=torch.float64).repeat(len(yaws), 1, 1)
    looking[:, :3, :3] = torch.from_numpy(Rotation.from_euler("z", yaws[:, None]).as_matrix())
    looking[:, :3, 3] = torch.from_numpy(at(stations))
    return torch.cat([looking, poses[-1:]]) if keep_last else looking


def says_no_heading(quaternions_xyzw: NDArray[np.float64]) -> bool:
    """Return whether a path has no headings: all its orientations are the identity, or all but the last.

    NavFn leaves them so and gives the goal's to the last; messages that nobody filled have the identity.

    :param quaternions_xyzw: [N, 4], in the frame of the path.
    """
    return len(quaternions_xyzw) > 1 and is_identity(quaternions_xyzw[:-1])


def is_identity(quaternion_xyzw: NDArray[np.float64]) -> bool:
    """Return whether an orientation [..., 4] is none, or all of them."""
    return not np.abs(quaternion_xyzw[..., :3]).max() > 1e-9


def length_of(poses: Tensor) -> float:
    """Return the metres from pose to pose along a path [N, 4, 4]."""
    places = poses[:, :3, 3]
    return float(torch.linalg.vector_norm(places[1:] - places[:-1], dim=-1).sum())
