"""Samples for the depth network: single views, drawn at random, mirrored, cut, with or without a prompt from memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from vmem_ros.geometry import Camera, pixel_rays
from vmem_ros.training.data.depth_walks import DepthWalk
from vmem_ros.training.data.imperfection import imperfect_view
from vmem_ros.training.data.precision import full_precision
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.recipes.depth import DepthRecipe
from vmem_ros.types import View


@dataclass(frozen=True, eq=False)
class DepthBatch:
    """N views of one size.

    :param images: [N, 3, H, W] in [-1, 1].
    :param rays: [N, 2, H, W]: x / z and y / z.
    :param prompt: [N, H, W] z-depth that memory shows, in metres; NaN in holes.
    :param depth: [N, H, W] true z-depth in metres; not finite where there is no surface.
    """

    images: Tensor
    rays: Tensor
    prompt: Tensor
    depth: Tensor

    def to(self, device: torch.device) -> DepthBatch:
        """Return the batch on a device."""
        return DepthBatch(*(t.to(device) for t in (self.images, self.rays, self.prompt, self.depth)))


class DepthSampler:
    """Draws batches by number; equal numbers give equal batches.

    :param multiple: of which heights and widths must be, for the network.
    """

    def __init__(self, walks: WalkStream[DepthWalk], recipe: DepthRecipe, *, multiple: int) -> None:
        self._walks = walks
        self._recipe = recipe
        self._multiple = multiple

    @full_precision()
    def batch(self, first: int, count: int) -> DepthBatch:
        """Return ``count`` views, numbered from ``first``, all cut alike."""
        rng = np.random.default_rng((self._recipe.seed, 5, first))
        rows, columns = self._window(rng)
        samples = [self._sample(number, rows, columns, rng) for number in range(first, first + count)]
        return DepthBatch(*(torch.stack(each) for each in zip(*samples, strict=True)))

    def _sample(self, number: int, rows: slice, columns: slice, rng: np.random.Generator) -> tuple[Tensor, ...]:
        recipe, data = self._recipe, self._recipe.data
        window = self._walks.window(number)
        path = self._walks.open(int(rng.integers(window.start, window.stop)), sample=number)
        index = int(rng.integers(1 + data.chunks * data.chunk))
        with safe_open(path, "pt") as file:
            image = file.get_slice("images")[index]
            depth, prompt = (file.get_slice(name)[index].float() for name in ("depth", "remembered"))
            camera = Camera(file.get_tensor("K"), image.shape[1], image.shape[0])
        if rng.uniform() < recipe.imperfect:
            image = imperfect_view(View(image, camera, torch.eye(4, dtype=torch.float64)), rng).image
        if rng.uniform() < recipe.prompted:
            scale = float(np.exp(recipe.prompt_scale * rng.normal()))
            # Without anything to tell the scale by, the true one is wanted.
            scale = scale if bool(torch.isfinite(prompt).any()) else 1.0
            depth, prompt = depth * scale, prompt * scale
        else:
            prompt = torch.full_like(prompt, torch.nan)
        pictures = image.permute(2, 0, 1).float() / 127.5 - 1, pixel_rays(camera)[..., :2].permute(2, 0, 1)
        values = [each[..., rows, columns] for each in (*pictures, prompt, depth)]
        if rng.uniform() < 0.5:
            values = [each.flip(-1) for each in values]
            # In a mirror, rays to the left go to the right.
            values[1] = values[1] * torch.tensor([-1.0, 1.0])[:, None, None]
        return tuple(values)

    def _window(self, rng: np.random.Generator) -> tuple[slice, slice]:
        """Return the rows and columns of a batch: all of them, or fewer of one."""
        height, width = self._recipe.data.size
        whole = slice(0, height), slice(0, width)
        if rng.uniform() >= self._recipe.crop:
            return whole
        axis = int(rng.integers(2))
        size = (height, width)[axis]
        kept = int(rng.integers(size // 2 // self._multiple, size // self._multiple)) * self._multiple
        start = int(rng.integers(size - max(kept, self._multiple) + 1))
        cut = slice(start, start + max(kept, self._multiple))
        return (cut, whole[1]) if axis == 0 else (whole[0], cut)
