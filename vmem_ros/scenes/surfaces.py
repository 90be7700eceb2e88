"""From a hit to its colour: which texel of which texture and of the light map belongs to a point of a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.scenes.materials import Material, TextureAtlas
from vmem_ros.scenes.raycast import Hits
from vmem_ros.scenes.solids import Solid
from vmem_ros.scenes.textures import Texture

# For faces across x, y, z: the solid's axes that run along the face.
FACE_AXES = ((1, 2), (0, 2), (0, 1))
#: Wanted size of a light-map texel in metres, and the most texels along a side.
TEXEL_M, MAX_TEXELS = 0.13, 64


@dataclass(frozen=True, eq=False)
class Faces:
    """The six faces of every solid's bounding box, one column a face, the padding solid's included.

    :param mapping: [6, F] float32: u = m0 a + m1 b + m2, v = m3 a + m4 b + m5 in texture repeats, where (a, b) are the
        coordinates of :data:`FACE_AXES`; v runs downwards.
    :param texture: [F] int64 into the atlas.
    :param density: [F] float32, texture repeats per metre.
    :param glow: [F] float32, radiance seen when looking at it; 0 for lit surfaces.
    :param half: [2, F] float32 half extents along a and b.
    :param texels: [2, F] int64 light-map texels along a and b.
    :param start: [F] int64 first texel; texel (i, j) is ``start + i * texels[1] + j``.
    :param count: number of light-map texels.
    """

    mapping: Tensor
    texture: Tensor
    density: Tensor
    glow: Tensor
    half: Tensor
    texels: Tensor
    start: Tensor
    count: int

    @classmethod
    def of(
        cls,
        solids: Sequence[Solid],
        materials: Sequence[Material],
        textures: Sequence[Texture],
        device: torch.device | str,
    ) -> Faces:
        """Lay out textures (those of the atlas, in its order) and light map over the faces of the solids."""
        number = {texture: index for index, texture in enumerate(textures)}
        mapping, texture, density, glow, half, texels = [], [], [], [], [], []
        for solid in solids:
            material = materials[solid.material]
            for face in range(6):
                a, b = FACE_AXES[face // 2]
                ha, hb = solid.half[a], solid.half[b]
                mapping.append(_mapping(solid, material, a, b))
                texture.append(number[material.texture])
                density.append(1 / material.repeat if material.repeat else 0.5 / max(ha, hb))
                glow.append(material.glow)
                half.append((ha, hb))
                texels.append(_texels(ha, hb) if solid.shape == "box" else (1, 1))
        for _ in range(6):
            mapping.append((0.0,) * 6)
            texture.append(0)
            density.append(1.0)
            glow.append(0.0)
            half.append((1.0, 1.0))
            texels.append((1, 1))
        counts = torch.tensor(texels)
        ends = (counts[:, 0] * counts[:, 1]).cumsum(0)
        start = torch.cat([torch.zeros(1, dtype=torch.long), ends[:-1]])
        return cls(
            torch.tensor(mapping, dtype=torch.float32).T.contiguous().to(device),
            torch.tensor(texture).to(device),
            torch.tensor(density, dtype=torch.float32).to(device),
            torch.tensor(glow).to(device),
            torch.tensor(half, dtype=torch.float32).T.contiguous().to(device),
            counts.T.contiguous().to(device),
            start.to(device),
            int(ends[-1]),
        )

    def coordinates(self, hits: Hits) -> tuple[Tensor, Tensor]:
        """Return (a, b) [N] of hits on their faces, metres from the middle."""
        axis = (hits.face % 6) // 2
        return torch.where(axis == 0, hits.point[1], hits.point[0]), torch.where(axis == 2, hits.point[1], hits.point[2])

    def albedo(self, hits: Hits, atlas: TextureAtlas, footprint: Tensor) -> Tensor:
        """Return linear colours [N, 3]; ``footprint`` [N] is the side of a pixel's picture on the surface, metres."""
        a, b = self.coordinates(hits)
        m = self.mapping.index_select(1, hits.face)
        u, v = torch.addcmul(m[2], m[0], a).addcmul_(m[1], b), torch.addcmul(m[5], m[3], a).addcmul_(m[4], b)
        return atlas.sample(self.texture[hits.face], u, v, footprint * self.density[hits.face])

    def light(self, hits: Hits, light: Tensor) -> Tensor:
        """Return irradiance over pi [N, 3] from a light map [count, 3]."""
        out = self._bilinear(hits, light)
        curved = (hits.shape[8] >= 0).nonzero().squeeze(1)
        if len(curved) > 0:
            # Curved solids have one texel a face: blend the three that the normal points to (an ambient cube).
            normal = hits.normal[:, curved]
            first = hits.solid[curved] * 6
            weights = normal.square()[..., None]
            values = [light[self.start[first + 2 * i + (normal[i] > 0)]] for i in range(3)]
            out[curved] = (weights * torch.stack(values)).sum(dim=0)
        return out

    def texel(self, hits: Hits) -> Tensor:
        """Return the nearest light-map texel of hits, [N] int64."""
        i, j = (c.round().long() for c in self._texel_coordinates(hits))
        return self.start[hits.face] + i * self.texels[1].index_select(0, hits.face) + j

    def _texel_coordinates(self, hits: Hits) -> tuple[Tensor, Tensor]:
        half, texels = self.half.index_select(1, hits.face), self.texels.index_select(1, hits.face)
        out = []
        for k, c in enumerate(self.coordinates(hits)):
            last = texels[k] - 1
            g = (c / half[k] + 1) * (0.5 * texels[k]) - 0.5
            out.append(torch.minimum(g.clamp_(min=0.0), last.to(g.dtype)))
        return out[0], out[1]

    def _bilinear(self, hits: Hits, light: Tensor) -> Tensor:
        i, j = self._texel_coordinates(hits)
        texels, start = self.texels.index_select(1, hits.face), self.start[hits.face]
        i0, j0 = i.long(), j.long()
        i1, j1 = torch.minimum(i0 + 1, texels[0] - 1), torch.minimum(j0 + 1, texels[1] - 1)
        fi, fj = (i - i0)[:, None], (j - j0)[:, None]
        r0, r1 = start + i0 * texels[1], start + i1 * texels[1]
        corners = light.index_select(0, torch.cat([r0 + j0, r0 + j1, r1 + j0, r1 + j1])).view(4, -1, 3)
        return torch.lerp(torch.lerp(corners[0], corners[1], fj), torch.lerp(corners[2], corners[3], fj), fi)


def _texels(ha: float, hb: float) -> tuple[int, int]:
    return tuple(max(1, min(MAX_TEXELS, round(2 * h / TEXEL_M))) for h in (ha, hb))  # type: ignore[return-value]


def _mapping(solid: Solid, material: Material, a: int, b: int) -> tuple[float, ...]:
    """Return the affine map from face coordinates to texture coordinates."""
    ha, hb = solid.half[a], solid.half[b]
    if material.repeat is None:
        return 0.5 / ha, 0.0, 0.5, 0.0, -0.5 / hb, 0.5
    s = 1 / material.repeat
    # Furniture takes its piece of the texture from a place of its own.
    oa, ob = (solid.centre[a], solid.centre[b]) if solid.grounded else (7.3 * solid.centre[0], 5.1 * solid.centre[1])
    if material.grain and hb > ha:
        return 0.0, s, s * ob, -s, 0.0, -s * oa
    return s, 0.0, s * oa, 0.0, -s, -s * ob
