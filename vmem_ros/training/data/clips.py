"""Clips for the video networks, drawn from walks: what they begin with, references, and what memory shows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vmem_ros.generation.wan.sampling import RoundConditioning
from vmem_ros.geometry import average_pose, geodesic_distance
from vmem_ros.training.data.clip_walks import EncodedClipWalk
from vmem_ros.training.data.precision import full_precision
from vmem_ros.training.data.references import disturbed, draw_chunk, draw_references, remembered_before
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.clips import Clips


@dataclass(frozen=True, eq=False)
class ClipBatch:
    """B clips of F frames.

    :param clean: [B, L, F, h, w] float32 true latents, those of the known frames included.
    :param told: what the network is told of them.
    """

    clean: Tensor
    told: RoundConditioning

    @property
    def known(self) -> int:
        """How many of the first frames are given."""
        assert self.told.history is not None, "clips begin with a known view"
        return self.told.history.shape[2]

    def to(self, device: torch.device) -> ClipBatch:
        """Return the batch on a device."""
        fields = vars(self.told).items()
        moved: dict[str, Any] = {name: each.to(device) for name, each in fields if isinstance(each, Tensor)}
        return ClipBatch(self.clean.to(device), dataclasses.replace(self.told, **moved))


class ClipSampler:
    """Draws batches by number; equal numbers give equal batches.

    :param chunk: views of a chunk of the walks.
    :param history: known views that a continued clip begins with; others begin with one.
    :param preceding: known views before these, which a continued clip sees besides.
    :param seed: of the training.
    """

    def __init__(
        self,
        walks: WalkStream[EncodedClipWalk],
        clips: Clips,
        *,
        chunk: int,
        history: int,
        preceding: int,
        seed: int,
    ) -> None:
        self._walks = walks
        self._clips = clips
        self._chunk = chunk
        self._history = history
        self._preceding = preceding
        self._seed = seed

    @full_precision()
    def batch(self, first: int, count: int) -> ClipBatch:
        """Return ``count`` clips, numbered from ``first``; all have equally many frames of each kind."""
        rng = np.random.default_rng((self._seed, 7, first))
        how = self._clips
        continued = bool(rng.uniform() < how.continued)
        references = how.references
        if rng.uniform() < how.few_references:
            references = int(rng.integers(1, references + 1))
        clips = []
        for number in range(first, first + count):
            window = self._walks.window(number)
            walk = self._walks.get(int(rng.integers(window.start, window.stop)), sample=number)
            clips.append(self._draw(walk, continued, references, rng))
        clean, history, given, preceding, control = (
            torch.stack(parts).movedim(1, 2) for parts in zip(*clips, strict=True)
        )
        told = RoundConditioning(
            history=history,
            references=given,
            preceding=preceding if preceding.shape[2] else None,
            control=control,
        )
        return ClipBatch(clean, told)

    def _draw(
        self, walk: EncodedClipWalk, continued: bool, references: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return latents of a clip, of its history, references and what precedes, and the control: [frames, ...]."""
        how = self._clips
        before = self._history + self._preceding if continued else 1
        chunk = draw_chunk(walk, before + references, rng, goes_on=self._chunk if continued else None)
        targets = list(range(1 + chunk * self._chunk, 1 + (chunk + 1) * self._chunk))
        known = _newest(walk, chunk, before) if continued else [_nearest(walk, chunk, targets[0])]
        history, preceding = (known[-self._history :], known[: -self._history]) if continued else (known, [])
        middle = average_pose(walk.poses[targets])
        recalled = bool(rng.uniform() < how.recalled)
        given = draw_references(walk, chunk, references, middle, rng, recalled=recalled, without=known)

        blur = bool(rng.uniform() < how.blur)
        known_views = [*history, *given, *preceding]
        seen = disturbed(walk.latents[known_views].float(), rng, noise=how.noise, blur=blur)
        parts = seen.split([len(history), len(given), len(preceding)])
        shown = walk.shown[[target - 1 for target in targets]].float()
        if rng.uniform() < how.drop_scene:
            shown = walk.nothing.float().expand_as(shown)
        control = torch.cat([walk.own[history].float(), shown, walk.own[preceding].float()])
        scene, score = control.chunk(2, dim=1)
        # Where nothing is, a memory of latents shows zeros, exactly.
        there = (scene != 0).any(dim=1, keepdim=True)
        scene = torch.where(there, disturbed(scene, rng, noise=how.noise), scene)
        clean = torch.cat([parts[0], walk.latents[targets].float()])
        return clean, *parts, torch.cat([scene, score], dim=1)


def _newest(walk: EncodedClipWalk, chunk: int, count: int) -> list[int]:
    """Return the newest views in memory, oldest first; where there are fewer, the oldest again."""
    found: list[int] = remembered_before(walk, chunk)[-count:].tolist()
    return found[:1] * (count - len(found)) + found


def _nearest(walk: EncodedClipWalk, chunk: int, target: int) -> int:
    """Return the view that a clip goes on from: of the newest and the recalled ones that nearest to a target."""
    recalled = walk.recalled[chunk]
    candidates = torch.cat([remembered_before(walk, chunk)[-1:], recalled[recalled >= 0]])
    return int(candidates[int(geodesic_distance(walk.poses[candidates], walk.poses[target]).argmin())])
