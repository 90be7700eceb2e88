"""Do two pictures show the same things in the same places? SIFT features of OpenCV, no learned weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.geometry import Camera, invert, transform, unproject
from vmem_ros.types import View, as_image

# Lowe's ratio test (2004); a picture with fewer self-matches than this has too little texture to judge.
_RATIO = 0.8
_MIN_MATCHES = 8


@dataclass(frozen=True, eq=False)
class Features:
    """SIFT features of a picture: where [N, 2] (u, v, pixel centres at +0.5) and descriptors [N, 128]."""

    points: NDArray[np.float64]
    descriptors: NDArray[np.float32]


def detect_features(image: Tensor) -> Features:
    """Return the features of a picture uint8 [H, W, 3], the strongest thousand at most."""
    grey = cv2.cvtColor(as_image(image).cpu().numpy(), cv2.COLOR_RGB2GRAY)
    points, descriptors = cv2.SIFT.create(nfeatures=1000, contrastThreshold=0.02).detectAndCompute(grey, None)
    if len(points) == 0:
        return Features(np.zeros((0, 2)), np.zeros((0, 128), np.float32))
    return Features(np.asarray(cv2.KeyPoint.convert(points), np.float64) + 0.5, np.asarray(descriptors, np.float32))


def _match(query: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return index pairs [M, 2] of descriptors that pass the ratio test."""
    if len(query) == 0 or len(train) < 2:
        return np.zeros((0, 2), np.int64)
    pairs = cv2.BFMatcher(cv2.NORM_L2).knnMatch(query, train, k=2)
    kept = [(m.queryIdx, m.trainIdx) for m, second in pairs if m.distance < _RATIO * second.distance]
    return np.asarray(kept, np.int64).reshape(-1, 2)


def match_accuracy(image: Features, reference: Features, *, tolerance_px: float = 3.0) -> float:
    """Return the share of the reference's features found again in the image at the same place, 0 to 1.

    Matches from reference to image that moved by at most ``tolerance_px``, over the matches of the reference with
    itself: Spatia's closed-loop "match accuracy", with SIFT in place of the learned matcher. Both pictures are meant to
    show the same pose, so a match that moved is wrong. NaN if the reference has too little texture to judge.
    """
    own = len(_match(reference.descriptors, reference.descriptors))
    if own < _MIN_MATCHES:
        return math.nan
    pairs = _match(reference.descriptors, image.descriptors)
    moved = np.linalg.norm(reference.points[pairs[:, 0]] - image.points[pairs[:, 1]], axis=-1)
    return min(1.0, float((moved <= tolerance_px).sum()) / own)


def estimate_pose(image: Features, camera: Camera, reference: Features, view: View) -> Tensor | None:
    """Return the pose ``T_world_camera`` [4, 4] from which a picture was taken, or ``None`` if that cannot be told.

    Features are matched with those of a reference view; the pose solves perspective-n-point in RANSAC.

    :param camera: of the picture.
    :param view: the reference view, with depth.
    """
    if view.depth is None:
        raise ValueError("estimate_pose needs a reference view with depth")
    pairs = _match(image.descriptors, reference.descriptors)
    world = transform(view.T_world_camera, unproject(view.depth.double(), view.camera))
    column, row = reference.points[pairs[:, 1]].astype(np.int64).T
    points = world[row, column].numpy()
    known = np.isfinite(points).all(axis=-1)
    points, pixels = points[known], image.points[pairs[known, 0]]
    if len(points) < _MIN_MATCHES:
        return None
    K = camera.K.numpy()
    try:
        found, rvec, tvec, inliers = cv2.solvePnPRansac(
            points, pixels, K, None, reprojectionError=3.0, iterationsCount=300, flags=cv2.SOLVEPNP_SQPNP
        )
        if not found or inliers is None or len(inliers) < _MIN_MATCHES:
            return None
        chosen = inliers[:, 0]
        rvec, tvec = cv2.solvePnPRefineLM(points[chosen], pixels[chosen], K, None, rvec, tvec)
    except cv2.error:
        # Of points that all lie in one place or line, OpenCV does not return that there is no pose.
        return None
    T_camera_world = torch.eye(4, dtype=torch.float64)
    T_camera_world[:3, :3] = torch.from_numpy(cv2.Rodrigues(rvec)[0])
    T_camera_world[:3, 3] = torch.from_numpy(tvec[:, 0])
    return invert(T_camera_world)
