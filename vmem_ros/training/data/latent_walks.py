"""Walks as the denoising network takes them: latents, encoded once, because the autoencoder does not change."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vmem_ros.generation.vmem.autoencoding import encode, pixels
from vmem_ros.generation.vmem.conditioning import projection_channels
from vmem_ros.generation.vmem.image_embedding import embed
from vmem_ros.generation.vmem.room_filling import HoleFilling, fill_projection
from vmem_ros.geometry import Camera
from vmem_ros.training.data.cache import TensorRecord
from vmem_ros.training.data.house_walks import ViewWalk

_BATCH = 16
# Encoded walks of another version are encoded again.
_VERSION = b"4"
# How the names of an autoencoder's layers between image and latents begin.
_ENCODING = ("encoder.", "quant_conv.")


@dataclass(frozen=True, eq=False)
class EncodedWalk(TensorRecord):
    """A :class:`~vmem_ros.training.data.house_walks.ViewWalk` without its pixels.

    :param latents: [N, C, h, w] float16 of the views.
    :param shown: [C * M, C + 1, h, w] float16: latents of the projections, and the share of each cell that they show.
    :param nothing: [C, h, w] float16: latents of a projection that shows nothing.
    :param poses: of the walk, as ``K``, ``recalled`` and ``written``.
    :param size: [2] int64, height and width of the images.
    :param embeddings: [N, D] float32 of the views, where the pipeline has an image encoder.
    """

    latents: Tensor
    shown: Tensor
    nothing: Tensor
    poses: Tensor
    K: Tensor
    size: Tensor
    recalled: Tensor
    written: Tensor
    embeddings: Tensor | None = None

    @property
    def camera(self) -> Camera:
        """The camera of all views."""
        height, width = self.size.tolist()
        return Camera(self.K, width, height)


class Encoder:
    """The frozen parts of a pipeline that turn images into what its network takes.

    :param image_encoder: CLIP's vision tower, or ``None``.
    :param hole_filling: of the pipeline.
    """

    def __init__(self, vae: Any, image_encoder: Any | None = None, *, hole_filling: HoleFilling = "smooth") -> None:
        self.vae = vae
        self.image_encoder = image_encoder
        self.hole_filling: HoleFilling = hole_filling

    @property
    def digest(self) -> str:
        """A name that changes with the weights that encode; a decoder may go on learning."""
        sha = hashlib.sha256(_VERSION + self.hole_filling.encode())
        for model in filter(None, (self.vae, self.image_encoder)):
            for name, tensor in model.state_dict().items():
                if model is self.vae and not name.startswith(_ENCODING):
                    continue
                sha.update(name.encode())
                sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
            sha.update(str(model.config.get("scaling_factor")).encode() if model is self.vae else b"")
        return sha.hexdigest()[:12]

    @torch.no_grad()
    def encode(self, walk: ViewWalk) -> EncodedWalk:
        """Return a walk as the network takes it."""
        device = next(self.vae.parameters()).device
        views, embeddings = [], []
        for images in walk.images.split(_BATCH):
            batch = pixels(list(images), device)
            views.append(encode(self.vae, batch).cpu())
            if self.image_encoder is not None:
                embeddings.append(embed(self.image_encoder, batch).cpu())
        shown = []
        size = len(walk.shown) // len(walk.recalled)
        chunks = (each.split(size) for each in (walk.shown, walk.seen, walk.depth, walk.poses[1:]))
        for images, seen, depth, poses in zip(*chunks, strict=True):
            visible, cameras = seen.to(device), [walk.camera] * size
            filled = fill_projection(
                pixels(list(images), device), visible, depth.to(device), cameras, poses, how=self.hole_filling
            )
            shown.append(projection_channels(encode(self.vae, filled), visible).cpu())
        return EncodedWalk(
            latents=torch.cat(views).half(),
            shown=torch.cat(shown).half(),
            nothing=encode(self.vae, torch.zeros(1, 3, *walk.images.shape[1:3], device=device))[0].cpu().half(),
            poses=walk.poses,
            K=walk.K,
            size=torch.tensor(walk.images.shape[1:3]),
            recalled=walk.recalled,
            written=walk.written,
            embeddings=torch.cat(embeddings) if embeddings else None,
        )
