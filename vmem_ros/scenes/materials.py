"""Materials: a texture, how large it lies on a surface, and whether it glows."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vmem_ros.scenes.pictures import PICTURES
from vmem_ros.scenes.textures import PAINTERS, Texture


@dataclass(frozen=True)
class Material:
    """How a surface looks.

    :param texture: its image.
    :param repeat: metres per repeat along both directions; ``None`` fits the image to each face once.
    :param grain: turn the image so that u follows the longer side of each face (wood).
    :param glow: what is seen when looking at a lamp or a window: this multiple of the texture's colour.
    :param emission: what it sends into the room, as radiance. It is more than ``glow``, as no picture could show both.
    """

    texture: Texture
    repeat: float | None = 1.0
    grain: bool = False
    glow: float = 0.0
    emission: float = 0.0


@dataclass
class Materials:
    """The materials of one house in the order in which solids refer to them."""

    items: list[Material] = field(default_factory=list)

    def add(self, material: Material) -> int:
        """Return the index of a material, adding it if it is new."""
        if material in self.items:
            return self.items.index(material)
        self.items.append(material)
        return len(self.items) - 1


def paint(texture: Texture) -> Tensor:
    """Return the image of a texture: [3, size, size] float32 sRGB in [0, 1]."""
    painter = PAINTERS.get(texture.kind) or PICTURES[texture.kind]
    return painter(texture, np.random.default_rng(texture.seed)).clamp(0.0, 1.0)


def to_linear(srgb: Tensor) -> Tensor:
    """Return linear reflectance of sRGB values in [0, 1]: a cubic that stays within 0.003 of the standard's curve."""
    return srgb * (srgb * (srgb * 0.305306 + 0.682171) + 0.012523)


@dataclass(frozen=True, eq=False)
class TextureAtlas:
    """All textures of a house with their mip pyramids in one flat array.

    :param texels: [M] int32, packed R, G, B bytes of the square root of linear reflectance: two more bits in the
        shadows than linear bytes, and squaring decodes them.
    :param offset: [T] int64, where each texture's finest level starts; coarser levels follow.
    :param size: [T] int64, side of the finest level.
    :param mean: [T, 3] float32 linear mean colour.
    """

    texels: Tensor
    offset: Tensor
    size: Tensor
    mean: Tensor

    @classmethod
    def of(cls, textures: list[Texture], device: torch.device | str) -> TextureAtlas:
        """Paint the textures and build their pyramids."""
        chunks, offsets, means, start = [], [], [], 0
        for texture in textures:
            level = to_linear(paint(texture))
            means.append(level.mean(dim=(1, 2)))
            offsets.append(start)
            while True:
                chunks.append(_pack(level))
                start += chunks[-1].numel()
                if level.shape[-1] == 1:
                    break
                level = torch.nn.functional.avg_pool2d(level, 2)
        return cls(
            torch.cat(chunks).to(device),
            torch.tensor(offsets, device=device),
            torch.tensor([t.size for t in textures], device=device),
            torch.stack(means).to(device),
        )

    def sample(self, texture: Tensor, u: Tensor, v: Tensor, footprint: Tensor) -> Tensor:
        """Return linear colours [3, N], trilinearly filtered.

        :param texture: [N] int64.
        :param u: [N] repeats to the right; ``v`` [N] repeats downwards. Both wrap.
        :param footprint: [N] side of the pixel's picture on the surface, in repeats.
        """
        size = self.size[texture]
        top = torch.log2(size.to(u.dtype))
        lod = torch.minimum((torch.log2(footprint.clamp(min=1e-9)) + top).clamp_(min=0.0), top)
        fine = lod.floor()
        blend = lod - fine
        fine = fine.long()
        coarse = torch.minimum(fine + 1, top.long())
        offset = self.offset[texture]
        a, b = self._bilinear(offset, size, fine, u, v), self._bilinear(offset, size, coarse, u, v)
        return torch.lerp(a, b, blend).mul_(1 / 255).square_()

    def _bilinear(self, offset: Tensor, size: Tensor, level: Tensor, u: Tensor, v: Tensor) -> Tensor:
        side = size >> level
        # The finer levels hold size^2 (1 + 1/4 + ...) texels.
        base = offset + ((size * size - side * side) * 4) // 3
        x, y = u * side - 0.5, v * side - 0.5
        x0, y0 = x.floor(), y.floor()
        fx, fy = x.sub_(x0), y.sub_(y0)
        mask = side - 1
        c0, r0 = x0.long() & mask, y0.long() & mask
        c1, r1 = (c0 + 1) & mask, (r0 + 1) & mask
        r0, r1 = base + r0 * side, base + r1 * side
        texels = self.texels.index_select(0, torch.cat([r0 + c0, r0 + c1, r1 + c0, r1 + c1]))
        values = _unpack(texels).view(3, 4, -1)
        upper = torch.lerp(values[:, 0], values[:, 1], fx)
        lower = torch.lerp(values[:, 2], values[:, 3], fx)
        return torch.lerp(upper, lower, fy)


def _pack(level: Tensor) -> Tensor:
    """Pack [3, s, s] linear colours into [s * s] int32."""
    bytes_ = (level.clamp(0, 1).sqrt() * 255).round().to(torch.int32).flatten(1)
    return bytes_[0] | (bytes_[1] << 8) | (bytes_[2] << 16)


def _unpack(texels: Tensor) -> Tensor:
    """Return [3, N] float32 in 0 to 255 from packed int32."""
    return torch.stack([texels & 255, (texels >> 8) & 255, texels >> 16]).to(torch.float32)
