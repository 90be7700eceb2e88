"""Walks as the video networks take them: latents of views, and what their memory shows along the way.

They are made of the walks of :mod:`~vmem_ros.training.data.geometry_walks`: true views go into the memory of Spatia or
Mirage, which is read chunk by chunk as in use.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vmem_ros.generation.mirage.scene import Scene, own_scene, remembered_scene, scene_control
from vmem_ros.generation.vmem.autoencoding import encode, pixels
from vmem_ros.generation.wan.autoencoding import encode_control
from vmem_ros.generation.wan.generator import shown_by
from vmem_ros.memory import load_memory
from vmem_ros.training.data.cache import TensorRecord
from vmem_ros.training.data.geometry_walks import GeometryWalk
from vmem_ros.training.data.house_walks import MemoryWalk
from vmem_ros.training.data.latent_walks import Encoder
from vmem_ros.training.recipes.data import Data
from vmem_ros.types import Projection, View

# Encoded walks of another version are encoded again.
_VERSION = b"1"
_BATCH = 16


@dataclass(frozen=True, eq=False)
class EncodedClipWalk(TensorRecord):
    """A walk of N views and C chunks of M views without its pixels.

    :param latents: [N, L, h, w] float16 of the views.
    :param own: [N, 2 L, h, w] float16: what the network is told of what is shown at the pose of a known view.
    :param shown: [C * M, 2 L, h, w] float16: the same at views 1, 2, ... before their chunk was written.
    :param nothing: [2 L, h, w] float16: the same where memory shows nothing.
    :param poses: [N, 4, 4] float64.
    :param recalled: see :class:`~vmem_ros.training.data.house_walks.ViewWalk`, as ``written``.
    """

    latents: Tensor
    own: Tensor
    shown: Tensor
    nothing: Tensor
    poses: Tensor
    recalled: Tensor
    written: Tensor


class ClipWalkEncoder(ABC):
    """The autoencoder and the memory that turn walks into what a video network takes.

    :cvar kind: of the memory.
    :param data: says how much is remembered, and how imperfectly.
    """

    kind: str

    def __init__(self, vae: Any, data: Data) -> None:
        self.vae = vae
        self.data = data

    @property
    def digest(self) -> str:
        """A name that changes with the weights that encode, and with what is told."""
        return f"{self.kind}-{Encoder(self.vae).digest}-{hashlib.sha256(_VERSION).hexdigest()[:8]}"

    @torch.no_grad()
    def encode(self, walk: GeometryWalk) -> EncodedClipWalk:
        """Return a walk as the network takes it."""
        views = walk.views()
        latents = torch.cat([self._latents(views[i : i + _BATCH]) for i in range(0, len(views), _BATCH)])
        along = self.remembered(walk)
        shown, recalled = [], []
        for recall in along.readings():
            shown.append(self.told(recall.projections).half())
            recalled.append(along.recalled(recall))
        own = [self._own(views[i : i + _BATCH], latents[i : i + _BATCH]) for i in range(0, len(views), _BATCH)]
        return EncodedClipWalk(
            latents=latents.half(),
            own=torch.cat(own).half(),
            shown=torch.cat(shown),
            nothing=self._nothing(views[0], latents[0]).half(),
            poses=walk.poses,
            recalled=torch.stack(recalled),
            written=along.written,
        )

    def remembered(self, walk: GeometryWalk) -> MemoryWalk:
        """Return the walk as memory goes along it: the first view is a camera's, all others are as if drawn.

        Equal walks are remembered equally.
        """
        views = walk.views()
        views[1:] = [view.having(source="generated") for view in views[1:]]
        seed = np.frombuffer(hashlib.sha256(walk.poses.numpy().tobytes()).digest(), dtype=np.uint32)
        return MemoryWalk(views, load_memory(self.kind), self.data, np.random.default_rng(seed), self._prepared)

    @abstractmethod
    def told(self, projections: Sequence[Projection]) -> Tensor:
        """Return what the network is told [n, 2 L, h, w] of what memory shows at targets."""

    @abstractmethod
    def _own(self, views: Sequence[View], latents: Tensor) -> Tensor:
        """Return what it is told [n, 2 L, h, w] at the poses of views with latents [n, L, h, w]."""

    @abstractmethod
    def _nothing(self, view: View, latents: Tensor) -> Tensor:
        """Return what it is told [2 L, h, w] where nothing is shown, for views like this one."""

    def _prepared(self, view: View) -> View:
        return view

    def _latents(self, views: Sequence[View]) -> Tensor:
        device = next(self.vae.parameters()).device
        return encode(self.vae, pixels([view.image for view in views], device)).cpu()


class PointWalkEncoder(ClipWalkEncoder):
    """For Spatia's network: the picture of the points, and how much of it is missing."""

    kind = "points"

    def told(self, projections: Sequence[Projection]) -> Tensor:
        """Return what the network is told [n, 2 L, h, w] of what memory shows at targets."""
        return self._control([(shown.image, shown.seen) for shown in projections])

    def _own(self, views: Sequence[View], latents: Tensor) -> Tensor:
        return self._control([shown_by(view, view.camera.size) for view in views])

    def _nothing(self, view: View, latents: Tensor) -> Tensor:
        return self._control([(torch.zeros_like(view.image), torch.zeros(view.camera.size, dtype=torch.bool))])[0]

    def _control(self, shown: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        device = next(self.vae.parameters()).device
        scene = pixels([image for image, _ in shown], device)
        seen = torch.stack([seen for _, seen in shown]).to(device, torch.float32)
        return encode_control(self.vae, scene, seen)[0].movedim(1, 0).cpu()


class LatentWalkEncoder(ClipWalkEncoder):
    """For Mirage's network: the latents that are shown, and where there are none."""

    kind = "latent"

    def told(self, projections: Sequence[Projection]) -> Tensor:
        """Return what the network is told [n, 2 L, h, w] of what memory shows at targets."""
        scenes = []
        for shown in projections:
            assert shown.features is not None, "all that is remembered has latents"
            scenes.append(remembered_scene(shown, shown.features.shape, shown.features.device))
        return self._control(scenes)

    def _own(self, views: Sequence[View], latents: Tensor) -> Tensor:
        return self._control([own_scene(view, each) for view, each in zip(views, latents, strict=True)])

    def _nothing(self, view: View, latents: Tensor) -> Tensor:
        return self._control([Scene.nothing(latents.shape, latents.device)])[0]

    def _prepared(self, view: View) -> View:
        return view.having(latent=self._latents([view])[0])

    def _control(self, scenes: Sequence[Scene]) -> Tensor:
        return scene_control(self.vae, scenes, "mask")[0].movedim(1, 0)
