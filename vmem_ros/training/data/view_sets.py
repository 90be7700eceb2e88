"""Sets of views for the denoising network, drawn from walks: chunk, references, and what is left out or disturbed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vmem_ros.generation.vmem.conditioning import Conditioning, normalise_poses
from vmem_ros.geometry import average_pose, geodesic_distance
from vmem_ros.training.data.latent_walks import EncodedWalk
from vmem_ros.training.data.precision import full_precision
from vmem_ros.training.data.references import disturbed, draw_chunk, draw_references
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.denoising import Conditions


@dataclass(frozen=True, eq=False)
class ViewSetBatch:
    """B sets of T frames, one after another.

    :param clean: [B * T, C, h, w] float32 true latents.
    :param conditioning: of all B * T frames.
    :param num_frames: T.
    """

    clean: Tensor
    conditioning: Conditioning
    num_frames: int

    def to(self, device: torch.device) -> ViewSetBatch:
        """Return the batch on a device."""
        c = self.conditioning
        moved = Conditioning(
            c.latents.to(device),
            c.given.to(device),
            c.plucker.to(device),
            c.context.to(device),
            None if c.projection is None else c.projection.to(device),
            c.residual,
        )
        return ViewSetBatch(self.clean.to(device), moved, self.num_frames)


class ViewSetSampler:
    """Draws batches by number; equal numbers give equal batches.

    :param chunk: views of a chunk of the walks.
    :param context_dim: width of the network's context.
    :param projection: whether the network takes projections.
    :param seed: of the training.
    :param camera_scale: of the pipeline, as ``published_offset`` and ``residual``.
    """

    def __init__(
        self,
        walks: WalkStream[EncodedWalk],
        conditions: Conditions,
        *,
        chunk: int,
        context_dim: int,
        projection: bool,
        seed: int,
        camera_scale: float = 2.0,
        published_offset: bool = False,
        residual: bool = False,
    ) -> None:
        self._walks = walks
        self._conditions = conditions
        self._chunk = chunk
        self._context_dim = context_dim
        self._projection = projection
        self._seed = seed
        self._camera_scale = camera_scale
        self._published_offset = published_offset
        self._residual = residual

    @full_precision()
    def batch(self, first: int, count: int) -> ViewSetBatch:
        """Return ``count`` sets, numbered from ``first``; all have equally many references."""
        rng = np.random.default_rng((self._seed, 5, first))
        conditions = self._conditions
        references = max(1, conditions.frames - self._chunk)
        if rng.uniform() < conditions.few_references:
            references = int(rng.integers(1, references + 1))
        sets = []
        for number in range(first, first + count):
            window = self._walks.window(number)
            walk = self._walks.get(int(rng.integers(window.start, window.stop)), sample=number)
            sets.append(self._draw(walk, references, rng))
        parts = [part for _, part in sets]
        projection = [part.projection for part in parts if part.projection is not None]
        together = Conditioning(
            torch.cat([part.latents for part in parts]),
            torch.cat([part.given for part in parts]),
            torch.cat([part.plucker for part in parts]),
            torch.cat([part.context for part in parts]),
            torch.cat(projection) if projection else None,
            self._residual,
        )
        return ViewSetBatch(torch.cat([clean for clean, _ in sets]), together, conditions.frames)

    def _draw(self, walk: EncodedWalk, references: int, rng: np.random.Generator) -> tuple[Tensor, Conditioning]:
        """Return clean latents [T, C, h, w] and the conditioning of one set."""
        conditions, chunk_size = self._conditions, self._chunk
        chunk = draw_chunk(walk, references, rng)
        first = 1 + chunk * chunk_size
        # Missing targets are repetitions of the last, as in sampling.
        slots = [min(slot, chunk_size - 1) for slot in range(conditions.frames - references)]
        targets = [first + slot for slot in slots]
        middle = average_pose(walk.poses[sorted(set(targets))])
        given = draw_references(walk, chunk, references, middle, rng, recalled=rng.uniform() < conditions.recalled)
        nearest_first = torch.argsort(geodesic_distance(walk.poses[given], middle), stable=True)
        given = [given[int(i)] for i in nearest_first]

        known = disturbed(
            walk.latents[given].float(), rng, noise=conditions.noise, blur=rng.uniform() < conditions.blur
        )
        projection = None
        if self._projection:
            if rng.uniform() < conditions.drop_projection:
                nothing = torch.cat([walk.nothing.float(), torch.zeros_like(walk.shown[0, -1:]).float()])
                shown = nothing.expand(len(targets), -1, -1, -1)
            else:
                shown = walk.shown[[target - 1 for target in targets]].float()
                shown = torch.cat([disturbed(shown[:, :-1], rng, noise=conditions.noise), shown[:, -1:]], dim=1)
            # References show themselves, completely.
            themselves = torch.cat([known, torch.ones_like(known[:, :1])], dim=1)
            projection = torch.cat([themselves, shown])
        poses = normalise_poses(
            walk.poses[given + targets], camera_scale=self._camera_scale, published_offset=self._published_offset
        )
        conditioning = Conditioning.of_chunk(
            known,
            None if walk.embeddings is None else walk.embeddings[given],
            [walk.camera] * conditions.frames,
            poses,
            context_dim=self._context_dim,
            projection=projection,
            residual=self._residual,
        )
        if rng.uniform() < conditions.drop_all:
            conditioning = conditioning.unconditional()
        return walk.latents[given + targets].float(), conditioning
