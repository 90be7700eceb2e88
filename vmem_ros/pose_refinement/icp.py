"""Rigid alignment of a picture with depth to another one, taken from nearly the same place.

Each cell of the frame that has depth is moved by the present estimate and looked up where it falls in the model
(projective data association). Two things are made small: its distance from the plane of the surface that it meets
there (Chen and Medioni, Object modelling by registration of multiple range images, 1992), and the difference of
brightness (Steinbruecker et al., Real-time visual odometry from dense RGB-D images, 2011), up to a gain and an offset
that exposure explains. Gauss-Newton steps with weights of Geman and McClure, from coarse brightness to fine; both terms
are weighted by their own spread. Derivatives are means of those of frame and model (Malis, Improving vision-based
control using efficient second-order minimization techniques, 2004).

What is known of each direction is judged by the *product* of the derivatives of frame and model: noise makes normals
and gradients of its own in either picture, but not the same ones in both, so a bare wall knows nothing of motion along
itself, however noisy it is.

What the model shows may all be nearer than it is, as a surface drawn in front of others is one whose noise is towards
the camera. A step back would explain that as well, and a chain of frames would walk backwards: so it is an unknown,
too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, transform
from vmem_ros.pose_refinement.estimate import Estimate
from vmem_ros.pose_refinement.options import PoseRefinementOptions
from vmem_ros.pose_refinement.pictures import Brightness, Surface, mean_depth
from vmem_ros.pose_refinement.terms import BLOCKS, BrightnessTerm, Rows, SurfaceTerm

# Cells along the longer side of the grid of surfaces: single pixels have no normals that deserve the name.
_SURFACE_SIDE = 128
# Brightness is compared at most so fine, before that two and four times as coarse; but not with fewer cells than this.
_FINEST_SIDE, _COARSEST_SIDE = 384, 40
# At most so many steps, from coarse to fine, and until one is smaller than this share of what is believed at first.
_STEPS = (6, 4, 4)
_CONVERGED = 3e-3
# So many where only exposure and depth are left to be explained, from close by.
_STEPS_AT_A_POSE = 2
# Surfaces are the same if their depths differ by a smaller share, at coarse sizes and at the finest.
_REACH, _AGREES = 0.1, 0.05
# What is believed at first, as standard deviations: of motion, in those of poses; of gain, offset and what is nearer.
_PRIOR, _PRIOR_OTHERS = 3.0, (0.5, 50.0, 0.005)


@dataclass(frozen=True, eq=False)
class Picture:
    """What is aligned.

    :param image: [H, W, 3] uint8.
    :param depth: [H, W] z-depth in metres; anything but positive and finite is unknown.
    :param seen: [H, W] bool: pixels that count.
    """

    image: Tensor
    depth: Tensor
    seen: Tensor
    camera: Camera


@dataclass(frozen=True, eq=False)
class IcpResult:
    """The motion that aligns a frame to a model.

    :param T_aligned: [4, 4] float64: takes points from the optical frame of the frame to that of the model.
    :param T: [4, 4] the part of it that ``memory_weight`` says.
    :param overlap: share of the frame that has smooth surfaces and meets some of the model.
    :param agreement: share of that in which depths agree, once aligned.
    :param directions: how many of the six directions of motion were known well enough to move along.
    :param loss_before: mean robust loss of cells that had no part in the solution, without any motion: 0 if all agree,
        1 if none does.
    :param loss_after: the same at ``T``.
    :param significance: by how many standard errors, over blocks of the picture, the latter is smaller.
    """

    T_aligned: Tensor
    T: Tensor
    overlap: float
    agreement: float
    directions: int
    loss_before: float
    loss_after: float
    significance: float


def align(frame: Picture, model: Picture, options: PoseRefinementOptions) -> IcpResult:
    """Return the motion that aligns ``frame`` to ``model``, both on the CPU; bounds are not looked at here."""
    return _Problem(frame, model, options).solve()


class _Problem:
    def __init__(self, frame: Picture, model: Picture, options: PoseRefinementOptions) -> None:
        longer, shorter = max(frame.camera.size), min(frame.camera.size)
        stride = min(max(1, round(longer / _SURFACE_SIDE)), shorter)
        own, behind = (
            Surface.of(torch.where(each.seen, each.depth, torch.nan), each.camera, stride) for each in (frame, model)
        )
        self._surfaces = SurfaceTerm(own, behind)

        def brightness(stride: int) -> BrightnessTerm:
            of_frame, of_model = (Brightness.of(p.image, p.seen, p.camera, stride) for p in (frame, model))
            return BrightnessTerm(of_frame, mean_depth(frame.depth, stride), own, of_model, behind)

        finest = min(math.ceil(longer / _FINEST_SIDE), shorter)
        coarse = [s for s in (4 * finest, 2 * finest) if longer // s >= _COARSEST_SIDE and s <= shorter]
        self._levels = [brightness(s) for s in (*coarse, finest)]
        self._weight, self._deviation_m = options.memory_weight, options.deviation_m
        self._still = Estimate(options.deviation_m / math.radians(options.deviation_deg))
        self._deviations = torch.tensor([_PRIOR * options.deviation_m] * 6 + [*_PRIOR_OTHERS], dtype=torch.float64)
        self._prior = torch.diag(1 / self._deviations.square())

    def solve(self) -> IcpResult:
        estimate, every = self._still, torch.eye(9, dtype=torch.float64)
        for level, steps in zip(self._levels, _STEPS[-len(self._levels) :], strict=True):
            estimate = self._refined(estimate, level, steps, every)
        finest = self._levels[-1]
        directions, variance = self._uncertainty(estimate)
        known = directions[:, variance < self._deviation_m**2]
        if known.shape[1] < 6:
            estimate = estimate.moving(known @ (known.mT @ estimate.unknowns[:6]))
            estimate = self._refined(estimate, finest, _STEPS[-1], torch.block_diag(known, every[6:, 6:]))
        # Exposure and depth are explained as well as they can be at either pose.
        still, moved = (
            self._refined(estimate.moving(share * estimate.unknowns[:6]), finest, _STEPS_AT_A_POSE, every[:, 6:])
            for share in (0.0, self._weight)
        )
        return self._judged(still, moved, aligned=estimate, directions=known.shape[1])

    def _rows(self, estimate: Estimate, level: BrightnessTerm) -> tuple[Rows, Rows]:
        """Return what the solution is made of."""
        reach = _AGREES if level is self._levels[-1] else _REACH
        return (
            self._surfaces.rows(estimate, self._surfaces.solving, reach),
            level.rows(estimate, level.solving, reach),
        )

    def _refined(self, estimate: Estimate, level: BrightnessTerm, steps: int, free: Tensor) -> Estimate:
        """Return the estimate after Gauss-Newton steps in the space that the columns of ``free`` [9, F] span."""
        for _ in range(steps):
            information, gradient = self._prior.clone(), self._prior @ estimate.unknowns
            for each in self._rows(estimate, level):
                jacobian = each.jacobian((each.by_model + each.by_frame) / 2, estimate.lever_m)
                weighted = (jacobian * each.weight[:, None]).mT
                information += weighted @ jacobian
                gradient += weighted @ torch.nan_to_num(each.residual, nan=0.0)
            step = free @ torch.linalg.solve(free.mT @ information @ free, -free.mT @ gradient)
            estimate = estimate.after(step)
            if float((step / self._deviations).abs().max()) < _CONVERGED:
                break
        return estimate

    def _uncertainty(self, estimate: Estimate) -> tuple[Tensor, Tensor]:
        """Return (orthonormal directions of motion as columns [6, 6], [6] variance of each, infinite if unknown)."""
        information = self._prior.clone()
        information[:6, :6] = 0
        for each in self._rows(estimate, self._levels[-1]):
            of_model, of_frame = (each.jacobian(by, estimate.lever_m) for by in (each.by_model, each.by_frame))
            product = (of_model * each.weight[:, None]).mT @ of_frame
            information += (product + product.mT) / 2
        both = information[:6, 6:]
        of_motion = information[:6, :6] - both @ torch.linalg.solve(information[6:, 6:], both.mT)
        values, vectors = torch.linalg.eigh(of_motion)
        return vectors, 1 / values.clamp(min=1e-12)

    def _judged(self, still: Estimate, moved: Estimate, *, aligned: Estimate, directions: int) -> IcpResult:
        """Return the result with its figures, from cells that had no part in the solution."""
        finest = self._levels[-1]
        gained = torch.zeros(BLOCKS, dtype=torch.float64)
        before = after = counted = 0.0
        terms: tuple[SurfaceTerm | BrightnessTerm, ...] = (self._surfaces, finest)
        for term, solution in zip(terms, self._rows(moved, finest), strict=True):
            cells = term.judging
            losses = [term.rows(each, cells, _AGREES).loss(solution.spread) for each in (still, moved)]
            both = torch.stack(losses).isfinite().all(dim=0)
            without, with_motion = (each[both] * cells.share for each in losses)
            gained.index_add_(0, cells.block[both], without - with_motion)
            before, after = before + float(without.sum()), after + float(with_motion.sum())
            counted += int(both.sum()) * cells.share
        gained = gained[gained != 0]
        error = float(gained.std()) * math.sqrt(len(gained)) if len(gained) > 1 else 0.0
        overlap, agrees = (self._share(aligned, reach) for reach in (math.inf, _AGREES))
        return IcpResult(
            T_aligned=aligned.T,
            T=moved.T,
            overlap=overlap,
            agreement=agrees / overlap if overlap else 0.0,
            directions=directions,
            loss_before=before / counted if counted else 1.0,
            loss_after=after / counted if counted else 1.0,
            significance=float(gained.sum()) / error if error else 0.0,
        )

    def _share(self, estimate: Estimate, reach: float) -> float:
        """Return the share of the picture that falls on surfaces of the model, within reach."""
        term = self._surfaces
        points = torch.cat([term.solving.points, term.judging.points])
        _, same = term.model.under(transform(estimate.T, points), reach)
        return int(same.sum()) * term.solving.share
