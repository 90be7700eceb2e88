"""Sequences for the network of Geometry-as-Context, drawn from walks: context, targets, and whose depth is left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vmem_ros.generation.gac.overlap import ViewVolume
from vmem_ros.generation.gac.rays import ray_maps
from vmem_ros.generation.gac.sequence import Part, interleave
from vmem_ros.training.data.geometry_walks import EncodedGeometryWalk
from vmem_ros.training.data.precision import full_precision
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.gac import Sequences
from vmem_ros.types import Target


@dataclass(frozen=True, eq=False)
class SequenceBatch:
    """B sequences of one layout.

    :param parts: the layout.
    :param clean: [B, I, C, h, w] float32 true latents of the images in it, in order.
    :param disturbance: [B] standard deviation of the noise on what is clean.
    :param plucker: [B, V, 6, H, W] rays of the views.
    """

    parts: Sequence[Part]
    clean: Tensor
    disturbance: Tensor
    plucker: Tensor


class SequenceSampler:
    """Draws batches by number; equal numbers give equal batches.

    :param unit_m: of the pipeline.
    :param seed: of the training.
    """

    def __init__(
        self, walks: WalkStream[EncodedGeometryWalk], sequences: Sequences, *, unit_m: float, seed: int
    ) -> None:
        self._walks = walks
        self._sequences = sequences
        self._unit_m = unit_m
        self._seed = seed

    @full_precision()
    def batch(self, first: int, count: int) -> SequenceBatch:
        """Return ``count`` sequences, numbered from ``first``."""
        rng = np.random.default_rng((self._seed, 9, first))
        how = self._sequences
        context = int(rng.integers(how.context[0], how.context[1] + 1))
        dropout = rng.uniform(*how.geometry_dropout)
        parts = interleave(how.views, context, (rng.uniform(size=how.views) >= dropout).tolist())
        clean, plucker = [], []
        for number in range(first, first + count):
            window = self._walks.window(number)
            walk = self._walks.get(int(rng.integers(window.start, window.stop)), sample=number)
            views = self._views(walk, context, rng)
            of_parts = [(walk.geometry if p.geometry else walk.latents)[views[p.view]] for p in parts if not p.word]
            clean.append(torch.stack(of_parts).float())
            height, width = walk.size.tolist()
            plucker.append(
                ray_maps([walk.camera] * len(views), walk.poses[views], (height, width), unit_m=self._unit_m)
            )
        disturbance = torch.from_numpy(rng.uniform(0, how.noise, size=count)).float()
        return SequenceBatch(parts, torch.stack(clean), disturbance, torch.stack(plucker))

    def _views(self, walk: EncodedGeometryWalk, context: int, rng: np.random.Generator) -> list[int]:
        """Return views of a walk: the context, the view that shares most last, and targets along the way."""
        targets = self._sequences.views - context
        start = int(rng.integers(context, len(walk.poses) - targets + 1))
        wanted = list(range(start, start + targets))
        known = rng.permutation(start)[: max(context, (start + 1) // 2)]
        ends = [Target(walk.camera, walk.poses[i]) for i in (wanted[0], wanted[-1])]
        cameras, poses = [walk.camera] * len(known), walk.poses[known]
        shares = torch.stack([ViewVolume().shares(end, cameras, poses) for end in ends]).mean(dim=0)
        if rng.uniform() >= self._sequences.overlapping:
            # The first of a random order, sorted like the others.
            known, shares = known[:context], shares[:context]
        chosen = torch.argsort(shares, descending=True, stable=True)[:context].flip(0)
        return [int(known[int(i)]) for i in chosen] + wanted
