"""Walks with the true depth of every view, in pixels and as latents: what networks that draw depth are trained on.

Numbers lead along the same ways through the same houses as those of :mod:`~vmem_ros.training.data.house_walks`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vmem_ros.generation.gac.depth_code import DepthCode
from vmem_ros.generation.vmem.autoencoding import encode, pixels
from vmem_ros.geometry import Camera
from vmem_ros.training.data.cache import TensorRecord
from vmem_ros.training.data.house_walks import Walk, WalkFactory, true_depth
from vmem_ros.training.data.latent_walks import Encoder
from vmem_ros.types import View

_BATCH = 16
# Encoded walks of another version are encoded again.
_VERSION = b"1"


@dataclass(frozen=True, eq=False)
class GeometryWalk(Walk):
    """N views along a walk.

    :param poses: [N, 4, 4] float64, ``T_world_camera``.
    :param depth: [N, H, W] float16 z-depth in metres; +Inf where nothing is.
    """

    poses: Tensor
    depth: Tensor

    def views(self) -> list[View]:
        """Return its views with their depth."""
        each = zip(self.images, self.poses, self.depth.float(), strict=True)
        return [View(image, self.camera, pose, depth=depth) for image, pose, depth in each]


class GeometryWalkFactory(WalkFactory[GeometryWalk]):
    """Makes walks with true depth."""

    name, kind = "geometry-walks", GeometryWalk

    def make(self, number: int) -> GeometryWalk:
        """Return walk ``number``."""
        views, _ = self.views(number)
        return GeometryWalk(
            images=torch.stack([view.image for view in views]),
            K=views[0].camera.K,
            poses=torch.stack([view.T_world_camera for view in views]),
            depth=torch.stack([true_depth(view) for view in views]).half(),
        )


@dataclass(frozen=True, eq=False)
class EncodedGeometryWalk(TensorRecord):
    """A :class:`GeometryWalk` without its pixels.

    :param latents: [N, C, h, w] float16 of the views, and ``geometry`` of their depth as pictures.
    :param poses: of the walk, as ``K``.
    :param size: [2] int64, height and width of the images.
    """

    latents: Tensor
    geometry: Tensor
    poses: Tensor
    K: Tensor
    size: Tensor

    @property
    def camera(self) -> Camera:
        """The camera of all views."""
        height, width = self.size.tolist()
        return Camera(self.K, width, height)


class GeometryEncoder:
    """The autoencoder and the code of depth that turn walks into what a network takes."""

    def __init__(self, vae: Any, code: DepthCode) -> None:
        self._vae = vae
        self._code = code

    @property
    def digest(self) -> str:
        """A name that changes with the weights that encode, and with the code."""
        return f"{Encoder(self._vae).digest}-{hashlib.sha256(_VERSION + repr(self._code).encode()).hexdigest()[:8]}"

    @torch.no_grad()
    def encode(self, walk: GeometryWalk) -> EncodedGeometryWalk:
        """Return a walk as the network takes it."""
        device = next(self._vae.parameters()).device
        latents, geometry = [], []
        for images, depth in zip(walk.images.split(_BATCH), walk.depth.split(_BATCH), strict=True):
            latents.append(encode(self._vae, pixels(list(images), device)).cpu())
            geometry.append(encode(self._vae, self._code.as_image(depth.float().to(device))).cpu())
        return EncodedGeometryWalk(
            latents=torch.cat(latents).half(),
            geometry=torch.cat(geometry).half(),
            poses=walk.poses,
            K=walk.K,
            size=torch.tensor(walk.images.shape[1:3]),
        )
