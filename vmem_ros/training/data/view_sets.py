"""Sets of views for the denoising network, drawn from walks: chunk, references, and what is left out or disturbed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vmem_ros.generation.vmem.conditioning import Conditioning, normalise_poses
from vmem_ros.geometry import average_pose, geodesic_distance
from vmem_ros.training.data.latent_walks import EncodedWalk
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.denoising import Conditions

# Random references are drawn from so many remembered views, the nearest to the targets.
_NEARBY = 12


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
        chunk = _draw_chunk(walk, references, rng)
        first = 1 + chunk * chunk_size
        # Missing targets are repetitions of the last, as in sampling.
        slots = [min(slot, chunk_size - 1) for slot in range(conditions.frames - references)]
        targets = [first + slot for slot in slots]
        middle = average_pose(walk.poses[sorted(set(targets))])
        given = _draw_references(walk, chunk, references, middle, rng, recalled=rng.uniform() < conditions.recalled)
        nearest_first = torch.argsort(geodesic_distance(walk.poses[given], middle), stable=True)
        given = [given[int(i)] for i in nearest_first]

        known = self._disturbed(walk.latents[given].float(), rng, blur=rng.uniform() < conditions.blur)
        projection = None
        if self._projection:
            if rng.uniform() < conditions.drop_projection:
                nothing = torch.cat([walk.nothing.float(), torch.zeros_like(walk.shown[0, -1:]).float()])
                shown = nothing.expand(len(targets), -1, -1, -1)
            else:
                shown = walk.shown[[target - 1 for target in targets]].float()
                shown = torch.cat([self._disturbed(shown[:, :-1], rng, blur=False), shown[:, -1:]], dim=1)
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

    def _disturbed(self, latents: Tensor, rng: np.random.Generator, *, blur: bool) -> Tensor:
        if blur:
            latents = (latents + F.avg_pool2d(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3, stride=1)) / 2
        deviation = float(rng.uniform(0, self._conditions.noise))
        noise = torch.from_numpy(rng.standard_normal(latents.shape, dtype=np.float32))
        return latents + deviation * noise


def _draw_chunk(walk: EncodedWalk, references: int, rng: np.random.Generator) -> int:
    """Return the number of a chunk for which so many views are remembered, or of the last one if there is none."""
    chunks = range(len(walk.recalled))
    enough = [chunk for chunk in chunks if len(_remembered(walk, chunk)) >= references]
    return int(rng.choice(enough or [len(chunks) - 1]))


def _draw_references(
    walk: EncodedWalk,
    chunk: int,
    count: int,
    T_world_targets: Tensor,
    rng: np.random.Generator,
    *,
    recalled: bool,
) -> list[int]:
    """Return views of the walk that are remembered for a chunk: those that memory recalled, or random ones nearby."""
    remembered = _remembered(walk, chunk)
    chosen = [index for index in walk.recalled[chunk].tolist() if index >= 0][:count] if recalled else []
    rest = remembered[~torch.isin(remembered, torch.tensor(chosen, dtype=torch.int64))]
    if len(chosen) < count and len(rest):
        distance = geodesic_distance(walk.poses[rest], T_world_targets)
        nearby = rest[torch.argsort(distance, stable=True)[:_NEARBY]].numpy()
        chosen += rng.permutation(nearby)[: count - len(chosen)].tolist()
    # A walk that remembers fewer gives some of them again.
    return (chosen * count)[:count]


def _remembered(walk: EncodedWalk, chunk: int) -> Tensor:
    return ((walk.written >= 0) & (walk.written <= chunk)).nonzero().squeeze(1)
