"""Which surfels a camera sees again: those that stand where it measured a surface, as far as its pose can be trusted.

Poses are off by a centimetre and half a degree, so a wall seen twice is measured at two places. Were each measurement
to make surfels of its own, a wall that is looked at for an hour would grow thick, and everything slow. What is drawn at
a pixel and lies where the view measured is the same surface; only a nearer look, which shows more, makes new ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.kernels import usable
from vmem_ros.memory.surfel import compiled_recognition as compiled
from vmem_ros.memory.surfel.splatting import Splat
from vmem_ros.memory.surfel.surfels import SurfelCloud

# Surfaces agree within this many metres and this share of the depth, along their normal: what poses leave.
_METRES, _SHARE = 0.01, 0.015
# Surfels that are larger than new ones by more than this factor make room for these.
_COARSER = 1.5


def recognise(
    found: Tensor, new: SurfelCloud, old: SurfelCloud, rendered: Splat, camera: Camera, T_camera_surfels: Tensor
) -> None:
    """Fill in ``found`` [M] int64, where it is -1, the old surfel that is seen again in place of each new one, if any.

    :param new: M surfels in the optical frame of the camera.
    :param rendered: what the camera sees of the old ones.
    :param T_camera_surfels: [4, 4] takes old surfels into the optical frame.
    """
    if library := usable(found, old.position):
        compiled.recognise(
            library, found, new, old, rendered, camera, T_camera_surfels,
            metres=_METRES, share=_SHARE, coarser=_COARSER,
        )  # fmt: skip
        return
    unmatched = (found < 0).nonzero().squeeze(1)
    new = new.select(unmatched)
    x, y, z = new.position.unbind(-1)
    u = (camera.fx * (x / z) + camera.cx).long().clamp_(0, camera.width - 1)
    v = (camera.fy * (y / z) + camera.cy).long().clamp_(0, camera.height - 1)
    number, depth = rendered.ids[v, u], rendered.depth[v, u]
    there = number.clamp(min=0)
    normal = old.normal.index_select(0, there) @ T_camera_surfels[:3, :3].T.to(old.normal)
    # Both points lie on one ray; so far apart they are along the normal of the old surface.
    apart = (depth / z - 1).abs() * (normal * new.position).sum(dim=-1).abs()
    same = (number >= 0) & (apart <= _METRES + _SHARE * z)
    same &= new.provenance <= old.provenance.index_select(0, there)
    same &= old.radius.index_select(0, there) <= _COARSER * new.radius
    found[unmatched] = torch.where(same, number, -1)
