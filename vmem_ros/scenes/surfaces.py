"""From a hit to its colour: which texel of which texture and of the light map belongs to a point of a face."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.scenes.materials import Material, TextureAtlas
from vmem_ros.scenes.raycast import Hits
from vmem_ros.scenes.solids import Solid, Vector
from vmem_ros.scenes.textures import Texture

# For faces across x, y, z: the solid's axes that run along the face.
FACE_AXES = ((1, 2), (0, 2), (0, 1))
#: Wanted size of a light-map texel in metres, and the most texels along a side.
TEXEL_M, MAX_TEXELS = 0.14, 64


@dataclass(frozen=True, eq=False)
class Faces:
    """The six faces of every solid's bounding box, one column a face, the padding solid's included.

    :param mapping: [6, F] float32: u = m0 a + m1 b + m2, v = m3 a + m4 b + m5 in texture repeats, where (a, b) are the
        coordinates of :data:`FACE_AXES`; v runs downwards.
    :param texture: [F] int64 into the atlas.
    :param density: [F] float32, texture repeats per metre.
    :param glow: [F] float32, radiance seen when looking at it; 0 for lit surfaces.
    :param half: [2, F] float32 half extents along a and b of its light map, which it may share with other faces.
    :param shift: [2, F] float32: what leads from (a, b) to coordinates from the middle of the light map.
    :param texels: [2, F] int64 light-map texels along a and b.
    :param start: [F] int64 first texel; texel (i, j) is ``start + i * texels[1] + j``.
    :param owner: [count] int64, for each texel the (first) face that it belongs to.
    """

    mapping: Tensor
    texture: Tensor
    density: Tensor
    glow: Tensor
    half: Tensor
    shift: Tensor
    texels: Tensor
    start: Tensor
    owner: Tensor

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
        mapping, texture, density, glow, half, shift, texels, start = [], [], [], [], [], [], [], []
        owners: list[Tensor] = []
        shared: dict[object, int] = {}
        count = 0
        for index, solid in enumerate(solids):
            material = materials[solid.material]
            for face in range(6):
                a, b = FACE_AXES[face // 2]
                mapping.append(_mapping(solid, material, a, b))
                texture.append(number[material.texture])
                density.append(1 / material.repeat if material.repeat else 0.5 / max(solid.half[a], solid.half[b]))
                glow.append(material.glow)
                centre, size = _light_sheet(solid, face)
                half.append((size[a], size[b]))
                shift.append((solid.centre[a] - centre[a], solid.centre[b] - centre[b]))
                texels.append(_texels(size[a], size[b]) if solid.shape == "box" else (1, 1))
                key = (centre, size, face) if size is not solid.half else (index, face)
                if key not in shared:
                    shared[key] = count
                    owners.append(torch.full((texels[-1][0] * texels[-1][1],), 6 * index + face))
                    count += len(owners[-1])
                start.append(shared[key])
        for _ in range(6):
            mapping.append((0.0,) * 6)
            texture.append(0)
            density.append(1.0)
            glow.append(0.0)
            half.append((1.0, 1.0))
            shift.append((0.0, 0.0))
            texels.append((1, 1))
            start.append(0)
        return cls(
            torch.tensor(mapping, dtype=torch.float32).T.contiguous().to(device),
            torch.tensor(texture).to(device),
            torch.tensor(density, dtype=torch.float32).to(device),
            torch.tensor(glow).to(device),
            torch.tensor(half, dtype=torch.float32).T.contiguous().to(device),
            torch.tensor(shift, dtype=torch.float32).T.contiguous().to(device),
            torch.tensor(texels).T.contiguous().to(device),
            torch.tensor(start).to(device),
            torch.cat(owners).to(device),
        )

    @property
    def count(self) -> int:
        """Number of light-map texels."""
        return len(self.owner)

    def albedo(self, hits: Hits, atlas: TextureAtlas, footprint: Tensor) -> Tensor:
        """Return linear colours [3, N]; ``footprint`` [N] is the side of a pixel's picture on the surface, metres."""
        a, b = hits.on_face
        m = self.mapping.index_select(1, hits.face)
        u, v = torch.addcmul(m[2], m[0], a).addcmul_(m[1], b), torch.addcmul(m[5], m[3], a).addcmul_(m[4], b)
        return atlas.sample(self.texture[hits.face], u, v, footprint * self.density[hits.face])

    def light(self, hits: Hits, light: Tensor) -> Tensor:
        """Return irradiance over pi [3, N] from a light map [3, count]."""
        out = self._bilinear(hits, light)
        curved = (hits.shape[8] >= 0).nonzero().squeeze(1)
        if len(curved) > 0:
            # Curved solids have one texel a face: blend the three that the normal points to (an ambient cube).
            normal = hits.normal[:, curved]
            first = hits.solid[curved] * 6
            values = [light[:, self.start[first + 2 * i + (normal[i] > 0)]] * normal[i].square() for i in range(3)]
            out[:, curved] = values[0] + values[1] + values[2]
        return out

    def texel(self, hits: Hits) -> Tensor:
        """Return the nearest light-map texel of hits, [N] int64."""
        i, j = (c.round().long() for c in self._texel_coordinates(hits))
        return self.start[hits.face] + i * self.texels[1].index_select(0, hits.face) + j

    def _texel_coordinates(self, hits: Hits) -> tuple[Tensor, Tensor]:
        half, texels = self.half.index_select(1, hits.face), self.texels.index_select(1, hits.face)
        shift = self.shift.index_select(1, hits.face)
        out = []
        for k, c in enumerate(hits.on_face):
            last = texels[k] - 1
            g = ((c + shift[k]) / half[k] + 1) * (0.5 * texels[k]) - 0.5
            out.append(torch.minimum(g.clamp_(min=0.0), last.to(g.dtype)))
        return out[0], out[1]

    def _bilinear(self, hits: Hits, light: Tensor) -> Tensor:
        i, j = self._texel_coordinates(hits)
        texels, start = self.texels.index_select(1, hits.face), self.start[hits.face]
        i0, j0 = i.long(), j.long()
        i1, j1 = torch.minimum(i0 + 1, texels[0] - 1), torch.minimum(j0 + 1, texels[1] - 1)
        fi, fj = i.sub_(i0), j.sub_(j0)
        r0, r1 = start + i0 * texels[1], start + i1 * texels[1]
        corners = light.index_select(1, torch.cat([r0 + j0, r0 + j1, r1 + j0, r1 + j1])).view(3, 4, -1)
        low, high = (torch.lerp(corners[:, k], corners[:, k + 1], fj) for k in (0, 2))
        return torch.lerp(low, high, fi)


def _texels(ha: float, hb: float) -> tuple[int, int]:
    return tuple(max(1, min(MAX_TEXELS, round(2 * h / TEXEL_M))) for h in (ha, hb))  # type: ignore[return-value]


def _light_sheet(solid: Solid, face: int) -> tuple[Vector, Vector]:
    """Return centre and half extents of what a face shares its light with: its sheet if they lie in one plane."""
    if solid.sheet is not None:
        centre, half = solid.sheet
        axis, sign = face // 2, 1 if face % 2 else -1
        if abs(solid.centre[axis] + sign * solid.half[axis] - centre[axis] - sign * half[axis]) < 1e-6:
            return centre, half
    return solid.centre, solid.half


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
