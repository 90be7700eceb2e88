"""Scale (and shift) of predicted depth, from what is remembered and from the other new views.

Cameras, poses and everything remembered are frozen; each of M new views has one unknown, the logarithm ``a`` of its
scale, or two where the predictor knows inverse depth only up to scale and shift:

    depth = exp(a) / (x + b * m),    x the predicted inverse depth, m its median over the view.

Differences of log depth are made small: between view i and what memory shows at its pose, and between views i and j
where a sample of i, moved with the known poses, falls on the surface that j predicts. Gauss-Newton steps with weights
of Geman and McClure, whose width follows the median residual of each row, so that up to nearly half of the samples may
be wrong. Memory may have lost its scale: how far is one more unknown, small but not zero, so a metric predictor slowly
wins it back; what a camera saw has lost less of it than what was imagined. The normal equations have 2 M + 1 unknowns:
the cost depends on M and the grid, never on how much is remembered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.pointmaps.prediction import DepthPrediction, ScalePrior
from vmem_ros.pointmaps.robust import geman_mcclure, spread
from vmem_ros.pointmaps.view_grid import Pairs, ViewGrid
from vmem_ros.types import IMAGINED_CONFIDENCE, Projection

_SIDE = 48
_STEPS = 15
_CONVERGED = 1e-5
# Residuals are never believed to be smaller than so much (log depth): pixels are not points.
_FLOOR = 0.003
# A row of residuals says something from this share of the grid on.
_FEWEST = 0.005
# Errors of depth are alike over an eighth of the picture each way: so many independent measurements has a full view.
_INDEPENDENT = 64
# Least deviation of the log scale error that memory shares: a world that is drawn by itself slowly loses its scale.
# What a camera saw has so much of that error, for its depth may have been estimated, too.
_MEMORY, _OBSERVED = 0.05, 0.4
# A metric predictor is never wrong by more than so many deviations of its scale and so much (log depth) at a pixel.
_POSSIBLE, _PIXEL = 2.5, 0.15
# Deviation of b, the shift as a share of the median inverse depth, and of a predictor's scale that means nothing.
_SHIFT, _ANY_SCALE = 0.5, 1e3


@dataclass(frozen=True, eq=False)
class Alignment:
    """How M predictions become depth in the scale of the world.

    :param log_scale: [M] float64 ``a``.
    :param shift: [M] float64 ``b * m``, added to predicted inverse depth; zero for metric predictors.
    :param deviation: [M] float64 posterior standard deviation of the log depth at the median of the view: small where
        memory or a neighbour fixes the scale, that of the prior where nothing does.
    :param tied: [M] bool: what was seen halves the uncertainty at least. False: the scale is the predictor's own.
    """

    log_scale: Tensor
    shift: Tensor
    deviation: Tensor
    tied: Tensor

    def apply(self, view: int, depth: Tensor) -> Tensor:
        """Return aligned z-depth of a prediction [H, W]; NaN and infinite stay, and what the shift takes to infinity
        or beyond is infinite."""
        scale = self.log_scale[view].exp().to(depth)
        shift = self.shift[view].to(depth)
        inverse = 1 / depth + shift
        return torch.where(torch.isinf(depth), depth, scale / inverse.clamp(min=0))


def align(
    predictions: Sequence[DepthPrediction],
    projections: Sequence[Projection],
    cameras: Sequence[Camera],
    T_world_camera: Tensor,
    *,
    prior: ScalePrior | None,
) -> Alignment:
    """Return the joint alignment of M views.

    :param projections: what memory shows at each view: depth where seen, and its confidence.
    :param T_world_camera: [M, 4, 4] float64.
    :param prior: of the scale of a metric predictor; ``None``: it gives inverse depth up to scale and shift.
    """
    grid = ViewGrid.of(predictions, projections, cameras, side=_SIDE)
    own = [_ANY_SCALE if prior is None else p.scale_deviation or prior.own for p in predictions]
    return _Problem(grid, Pairs(grid, T_world_camera), prior, torch.tensor(own, dtype=torch.float64)).solve()


class _Problem:
    """Unknowns are ordered a_0, b_0, a_1, b_1, ..., m; without shift only the a and m are solved for.

    m is the logarithm of the scale error of imagined memory; what a camera saw has a share of it.

    :param own: [M] deviation of each view's own part of its log scale, as in ``prior``.
    """

    def __init__(self, grid: ViewGrid, pairs: Pairs, prior: ScalePrior | None, own: Tensor) -> None:
        self._grid, self._pairs = grid, pairs
        self._shifts = prior is None
        count, device = len(grid.inverse), grid.inverse.device
        self._median = torch.nan_to_num(grid.inverse.nanmedian(dim=1).values, nan=1.0)[:, None]
        common = 0.0 if prior is None else prior.common
        covariance = torch.diag(own.square()) + common**2
        precision = torch.zeros(2 * count + 1, 2 * count + 1, dtype=torch.float64)
        precision[:-1:2, :-1:2] = torch.linalg.inv(covariance)
        precision[1:-1:2, 1:-1:2] = torch.eye(count, dtype=torch.float64) / _SHIFT**2
        self._precision = precision.to(device)
        self._prior_deviation = (common**2 + own.square()).sqrt().to(device)
        free = torch.arange(2 * count + 1, device=device)
        self._free = free if self._shifts else free[::2]
        self._remembered = grid.remembered
        if prior is not None:
            # What differs by more is no surface that both mean.
            reach = _POSSIBLE * self._prior_deviation[:, None] + _PIXEL
            away = (grid.remembered + grid.inverse.log()).abs()
            self._remembered = torch.where(away < reach, grid.remembered, torch.nan)
        imagined = ((1 - grid.trust) / (1 - IMAGINED_CONFIDENCE)).clamp(0, 1)
        self._errs = _OBSERVED + (1 - _OBSERVED) * imagined

    def solve(self) -> Alignment:
        unknowns = self._first_guess()
        for _ in range(_STEPS):
            information, gradient = self._normal_equations(unknowns)
            step = self._solve(information, -gradient).clamp(-0.7, 0.7)
            unknowns = unknowns + step
            if float(step.abs().max()) < _CONVERGED:
                break
        information, _ = self._normal_equations(unknowns)
        deviation = self._deviation(information, unknowns)
        a, b = unknowns[:-1].view(-1, 2).unbind(1)
        return Alignment(
            log_scale=a,
            shift=b * self._median[:, 0] if self._shifts else torch.zeros_like(a),
            deviation=deviation,
            tied=deviation < 0.5 * self._prior_deviation.clamp(max=1.0),
        )

    def _first_guess(self) -> Tensor:
        """Return unknowns at which memory's depth is met by median; views without memory take the others' unknowns."""
        grid = self._grid
        inverse, wanted = grid.inverse, (-self._remembered).exp()
        both = torch.where(torch.isfinite(wanted), inverse, torch.nan)
        enough = torch.isfinite(both).double().mean(dim=1) >= _FEWEST
        shift = torch.zeros_like(self._median)
        if self._shifts:
            shift = torch.where(enough, _line(both, wanted), torch.nan)
            shift = torch.nan_to_num(torch.where(enough, shift, shift.nanmedian()), nan=0.0)[:, None]
            shift = shift.maximum(-0.7 * self._median)
        log_inverse = (inverse + shift).clamp(min=1e-9).log()
        a = torch.where(enough, (self._remembered + log_inverse).nanmedian(dim=1).values, torch.nan)
        # Without any memory a metric predictor keeps its own scale; that of a relative one means nothing.
        a = torch.where(enough, a, torch.nan_to_num(a.nanmedian(), nan=0.0))
        return torch.cat([torch.stack([a, (shift / self._median)[:, 0]], dim=1).flatten(), a.new_zeros(1)])

    def _normal_equations(self, unknowns: Tensor) -> tuple[Tensor, Tensor]:
        """Return the information [2M + 1, 2M + 1] and the gradient [2M + 1] of everything that is known."""
        grid, pairs, median = self._grid, self._pairs, self._median
        a, b = unknowns[:-1].view(-1, 2, 1).unbind(1)
        shifted = (grid.inverse + b * median).clamp(min=1e-9)
        log_depth = a - shifted.log()
        own = torch.stack([torch.ones_like(shifted), -median / shifted], dim=-1)
        information, gradient = self._precision.clone(), self._precision @ unknowns
        views = torch.arange(len(a), device=a.device)
        memory = torch.stack([2 * views, 2 * views + 1, torch.full_like(views, 2 * len(a))], dim=1)
        apart = log_depth - self._remembered
        # The less memory has to do with the picture, the less it tells of the scale.
        error = _MEMORY**2 + torch.nan_to_num(apart.abs().nanmedian(), nan=0.0).square()
        information[-1, -1] += 1 / error
        gradient[-1] += unknowns[-1] / error
        rows = torch.cat([own, -self._errs[..., None]], dim=-1)
        _add(information, gradient, apart - unknowns[-1] * self._errs, rows, grid.weight * grid.trust, memory)
        if len(pairs):
            i, j = pairs.first, pairs.second
            met = pairs.meet(log_depth.exp())
            there = (met.inverse + b[j] * median[j]).clamp(min=1e-9)
            residual = torch.where(met.valid, a[j] - there.log() - met.log_depth, torch.nan)
            other = torch.stack([torch.ones_like(there), -median[j] / there], dim=-1)
            # Pairs tie views to each other. Parallax would also tell the scale that all share, but so weakly that the
            # shape errors of a network outweigh it: the derivatives are those for distant points, which know nothing
            # of it, and the deviation says so.
            rows = torch.cat([-own[i], other], dim=-1)
            columns = torch.stack([2 * i, 2 * i + 1, 2 * j, 2 * j + 1], dim=1)
            _add(information, gradient, residual, rows, grid.weight[i] * met.weight, columns)
        return information, gradient

    def _solve(self, information: Tensor, right: Tensor) -> Tensor:
        step = torch.zeros_like(right)
        step[self._free] = torch.linalg.solve(information[self._free][:, self._free], right[self._free])
        return step

    def _deviation(self, information: Tensor, unknowns: Tensor) -> Tensor:
        """Return the deviation [M] of log depth at the median of each view."""
        if not self._shifts:
            return torch.linalg.inv(information[::2, ::2]).diagonal()[:-1].sqrt()
        count = len(self._median)
        covariance = torch.linalg.inv(information)[:-1, :-1].reshape(count, 2, count, 2)
        block = covariance.diagonal(dim1=0, dim2=2).permute(2, 0, 1)
        b = unknowns[1:-1:2]
        row = torch.stack([torch.ones_like(b), -1 / (1 + b).clamp(min=1e-9)], dim=-1)
        return torch.einsum("mi,mij,mj->m", row, block, row).clamp(min=0).sqrt()


def _add(
    information: Tensor, gradient: Tensor, residual: Tensor, jacobian: Tensor, weight: Tensor, columns: Tensor
) -> None:
    """Add rows of residuals [R, S], NaN where there is none, to the normal equations.

    :param jacobian: [R, S, C], with respect to the unknowns ``columns`` [R, C].
    """
    known = torch.isfinite(residual)
    # A third of the samples is enough for a median.
    typical = torch.nan_to_num(spread(residual[:, ::3]), nan=1.0).clamp(min=_FLOOR)
    samples = residual.shape[1]
    enough = known.double().mean(dim=1, keepdim=True) >= _FEWEST
    each = weight * geman_mcclure(residual, typical) * enough * (_INDEPENDENT / samples) / typical.square()
    each = torch.where(known, each, 0.0)
    jacobian = torch.where(known[..., None], jacobian, 0.0)
    weighted = jacobian * each[..., None]
    block = weighted.mT @ jacobian
    right = (weighted.mT @ torch.nan_to_num(residual, nan=0.0)[..., None]).squeeze(-1)
    information.index_put_((columns[:, :, None], columns[:, None, :]), block, accumulate=True)
    gradient.index_put_((columns,), right, accumulate=True)


def _line(x: Tensor, y: Tensor) -> Tensor:
    """Return for rows [M, S] the shift of x that makes y proportional to it, from quartiles; NaN without spread."""
    y = torch.where(torch.isfinite(x), y, torch.nan)
    x = torch.where(torch.isfinite(y), x, torch.nan)
    levels = torch.tensor([0.25, 0.75], dtype=x.dtype, device=x.device)
    (low_x, high_x), (low_y, high_y) = (torch.nanquantile(each, levels, dim=1) for each in (x, y))
    slope = (high_y - low_y) / (high_x - low_x)
    return torch.where(slope > 0, low_y / slope - low_x, torch.nan)
