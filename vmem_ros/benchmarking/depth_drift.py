"""Worlds that walk through evaluation houses with estimated depth, and how far it is from the truth on the way.

The pictures are the houses' own, as if the generator were perfect: what is measured is geometry alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import AlignedDepth, DepthPrediction, DepthPredictor, ScalePrior
from vmem_ros.protocols import OnStep, PointMapEstimator, ShouldStop, Use
from vmem_ros.scenes import House
from vmem_ros.types import PointMap, Recall, Target, View
from vmem_ros.world import World

_FOV_DEG = 70
_STEP_M = 0.2
_SUPERSAMPLE = 2


class HousePictures:
    """A generator that draws what is there."""

    name = "house"
    uses: frozenset[Use] = frozenset()
    frames = 4

    def __init__(self, house: House) -> None:
        self._house = house

    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        """Return the true picture of each target; see :class:`vmem_ros.protocols.Generator`."""
        views = [self._house.view(target, supersample=_SUPERSAMPLE) for target in targets]
        return [dataclasses.replace(v, depth=None, confidence=None, source="generated") for v in views]


class DisturbedTruth:
    """A predictor as bad as one likes: the true depth times a factor of each view's own, noise, and outliers.

    :param drift: factors lie between ``1 - drift`` and ``1 + drift``.
    :param noise: standard deviation of log depth, pixel by pixel.
    :param outliers: share of the pixels whose depth has nothing to do with the truth.
    """

    name = "disturbed"
    metric = True
    scale_prior: ScalePrior | None = ScalePrior(common=0.1, own=0.3)

    def __init__(self, house: House, *, drift: float = 0.5, noise: float = 0.05, outliers: float = 0.2) -> None:
        self._house = house
        self._drift, self._noise, self._outliers = drift, noise, outliers
        self._rng = np.random.default_rng(house.seed)

    def predict(self, views: Sequence[View], recall: Recall) -> list[DepthPrediction]:
        """Return depth and deviation of each view."""
        return [self._predict(view) for view in views]

    def _predict(self, view: View) -> DepthPrediction:
        truth = self._house.render(view.target).depth.cpu()
        factor = float(self._rng.uniform(1 - self._drift, 1 + self._drift))
        noise = torch.from_numpy(self._rng.normal(scale=self._noise, size=truth.shape)).exp()
        depth = truth * (factor * noise).float()
        wrong = torch.from_numpy(self._rng.uniform(size=truth.shape)) < self._outliers
        anything = torch.from_numpy(np.exp(self._rng.uniform(-1, 2, size=truth.shape))).float()
        return DepthPrediction(torch.where(wrong, anything, depth), torch.full_like(depth, self._noise))


class Unaligned:
    """The predictor's depth as it is: what alignment is compared with."""

    uses_image = True

    def __init__(self, predictor: DepthPredictor) -> None:
        self.name = predictor.name
        self.metric = predictor.metric
        self._predictor = predictor

    def estimate(self, views: Sequence[View], recall: Recall) -> list[PointMap]:
        """Return one point map per view; see :class:`vmem_ros.protocols.PointMapEstimator`."""
        return [
            PointMap.from_depth(p.depth, torch.ones_like(p.depth), view.camera, view.T_world_camera)
            for view, p in zip(views, self._predictor.predict(views, recall), strict=True)
        ]


@dataclass(frozen=True, eq=False)
class WalkErrors:
    """Depth errors of the views of a walk, the given one first.

    :param walked_m: [N] metres from the start, along the way.
    :param relative: [N] median over the pixels of ``|d - d*| / d*``.
    :param log_scale: [N] median over the pixels of ``log(d / d*)``.
    """

    walked_m: np.ndarray
    relative: np.ndarray
    log_scale: np.ndarray

    @property
    def drift(self) -> float:
        """How much larger or smaller the last tenth of the views is than the first."""
        tenth = max(1, len(self.log_scale) // 10)
        return float(abs(np.median(self.log_scale[-tenth:]) - np.median(self.log_scale[:tenth])))


def walk(
    house: House,
    make: Callable[[House], DepthPredictor],
    *,
    views: int,
    side: int,
    aligned: bool,
    measured_start: bool,
    chunk: int = 4,
    device: str = "cpu",
) -> WalkErrors:
    """Return the errors of a world that begins with one picture and asks for ``views`` more along a random walk.

    :param make: returns the predictor, given the house.
    :param side: width and height of the pictures.
    :param measured_start: the first picture comes with its true depth.
    """
    camera = Camera.from_fov(side, side, _FOV_DEG)
    targets = [Target(camera, T) for T in house.random_walk(1 + views, 0, step=_STEP_M)]
    predictor = make(house)
    estimator: PointMapEstimator = AlignedDepth(predictor) if aligned else Unaligned(predictor)
    memory = load_memory(device=device)
    world = World(memory, HousePictures(house), estimator, chunk=chunk, composite="none", reuse_views=False)
    start = house.view(targets[0], supersample=_SUPERSAMPLE)
    world.seed(start if measured_start else dataclasses.replace(start, depth=None))
    for _ in world.explore(targets[1:], seed=0):
        pass
    ratios = [_log_ratio(view, house) for view in memory.views]
    places = torch.stack([target.T_world_camera[:3, 3] for target in targets])
    walked = torch.linalg.vector_norm(places.diff(dim=0), dim=-1).cumsum(dim=0)
    return WalkErrors(
        walked_m=np.concatenate([[0.0], walked.numpy()]),
        relative=np.array([float((r.exp() - 1).abs().nanmedian()) for r in ratios]),
        log_scale=np.array([float(r.nanmedian()) for r in ratios]),
    )


def _log_ratio(view: View, house: House) -> Tensor:
    """Return log(d / d*) [H, W] of a stored view; NaN where one of them is not finite."""
    assert view.depth is not None, "the memory stores the depth of every view"
    ratio = (view.depth.cpu() / house.render(view.target).depth.cpu()).log()
    return torch.where(torch.isfinite(ratio), ratio, torch.nan)
