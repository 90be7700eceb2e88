"""Which views belong into the context: those whose view volumes overlap that of the wanted view most.

Context-as-Memory (arXiv 2506.03141) counts where the edges of two fields of view cross on a plane. Views at one pose
have parallel edges, which never cross, and views from one place cross in it alone; shares of a volume know no such
cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vmem_ros.geometry import Camera, geodesic_distance, invert
from vmem_ros.types import Target, View

#: ``volume``: shares of view volumes; ``crossings``: whether edges cross (Context-as-Memory) or the poses are one.
Rule = Literal["volume", "crossings"]

# Poses closer than this (radians + 0.1 per metre) are one.
_SAME_POSE = 1e-3
# Points in a view volume: columns, rows and distances.
_COLUMNS, _ROWS, _DEPTHS = 24, 14, 12


@dataclass(frozen=True)
class ViewVolume:
    """How far a camera is taken to see.

    :param near_m: z-depth at which the sampled volume begins, and ends (``far_m``).
    :param seen_m: distance from its centre up to which another camera sees a point.
    """

    near_m: float = 0.5
    far_m: float = 6.0
    seen_m: float = 8.0

    def points(self, camera: Camera) -> Tensor:
        """Return points [P, 3] float64 in the frame of the camera, at equal ratios of depth."""
        columns, rows = ((torch.arange(n, dtype=torch.float64) + 0.5) / n for n in (_COLUMNS, _ROWS))
        x = (columns * camera.width - camera.cx) / camera.fx
        y = (rows * camera.height - camera.cy) / camera.fy
        steps = torch.linspace(0, 1, _DEPTHS, dtype=torch.float64)
        z = self.near_m * (self.far_m / self.near_m) ** steps
        grid = torch.stack(torch.meshgrid(x, y, z, indexing="ij"), dim=-1).flatten(0, 2)
        points = torch.cat([grid[:, :2] * grid[:, 2:], grid[:, 2:]], dim=-1)
        # The corners of wide pictures lie farther away than anything is seen.
        return points[torch.linalg.vector_norm(points, dim=-1) <= self.seen_m]

    def shares(self, target: Target, cameras: Sequence[Camera], T_world_camera: Tensor) -> Tensor:
        """Return which share [N] float64 of the target's view volume each of N cameras sees.

        :param T_world_camera: [N, 4, 4].
        """
        if not cameras:
            return torch.zeros(0, dtype=torch.float64)
        points = self.points(target.camera)
        relative = invert(T_world_camera.to(torch.float64)) @ target.T_world_camera
        seen = torch.einsum("nij,pj->npi", relative[:, :3, :3], points) + relative[:, None, :3, 3]
        K = torch.stack([camera.without_skew().K for camera in cameras])
        size = torch.tensor([[camera.width, camera.height] for camera in cameras], dtype=torch.float64)
        z = seen[..., 2:]
        focal = torch.stack([K[:, 0, 0], K[:, 1, 1]], dim=-1)
        # Of points on the edge of the picture, at both sides: a camera sees all of what itself sees.
        slack = 1e-9 * size[:, None]
        pixel = seen[..., :2] * focal[:, None] + K[:, None, :2, 2] * z
        inside = ((pixel >= -slack * z) & (pixel <= (size[:, None] + slack) * z)).all(dim=-1)
        near_enough = torch.linalg.vector_norm(seen, dim=-1) <= self.seen_m
        return (inside & near_enough & (z[..., 0] > 0)).to(torch.float64).mean(dim=-1)


def edge_crossings(
    target: Target, cameras: Sequence[Camera], T_world_camera: Tensor, *, near_m: float = 0.1, far_m: float = 8.0
) -> Tensor:
    """Return how often [N] int64 the left and right edges of the target's view cross those of each of N views.

    On the plane of the target's x and z axes, and only where both are ``near_m`` to ``far_m`` from their cameras.

    :param T_world_camera: [N, 4, 4].
    """
    relative = invert(target.T_world_camera) @ T_world_camera.to(torch.float64)
    own = _edges(target.camera)
    others = torch.stack([_edges(camera) for camera in cameras])
    others = torch.einsum("nij,nej->nei", relative[:, :3, :3], others)[..., [0, 2]]
    others = torch.nn.functional.normalize(others, dim=-1)[:, None]
    a, b = own[None, :, None, [0, 2]], others
    start = relative[:, None, None, [0, 2], 3]
    cross = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
    parallel = cross.abs() < 1e-9
    cross = torch.where(parallel, 1.0, cross)
    along_own = (start[..., 0] * b[..., 1] - start[..., 1] * b[..., 0]) / cross
    along_other = (start[..., 0] * a[..., 1] - start[..., 1] * a[..., 0]) / cross
    counted = ~parallel
    for along in (along_own, along_other):
        counted = counted & (along >= near_m) & (along <= far_m)
    return counted.flatten(1).sum(dim=1)


def choose_context(
    candidates: Sequence[View], targets: Sequence[Target], count: int, *, rule: Rule = "volume", least: float = 0.05
) -> list[View]:
    """Return up to ``count`` of the candidates, the one that shares most with the targets last, next to them.

    What counts is the mean over the targets. A view is taken once; one that shares no more than ``least`` with any
    target is not taken. If none shares more, the nearest is: a context is never empty.

    :param candidates: best first where they share equally much; at least one.
    """
    views = list({id(view.image): view for view in candidates}.values())
    poses = torch.stack([view.T_world_camera for view in views])
    cameras = [view.camera for view in views]
    shares = torch.stack([_shared(target, cameras, poses, rule) for target in targets])
    best = torch.argsort(shares.mean(dim=0), descending=True, stable=True)
    chosen = [int(i) for i in best if bool(shares[:, i].max() > least)][:count]
    if not chosen:
        centre = torch.stack([target.T_world_camera[:3, 3] for target in targets]).mean(dim=0)
        chosen = [int(torch.linalg.vector_norm(poses[:, :3, 3] - centre, dim=-1).argmin())]
    return [views[i] for i in reversed(chosen)]


def _shared(target: Target, cameras: Sequence[Camera], T_world_camera: Tensor, rule: Rule) -> Tensor:
    """Return how much [N] float64, 0 to 1, each of N cameras shares with a target."""
    if rule == "volume":
        return ViewVolume().shares(target, cameras, T_world_camera)
    same = geodesic_distance(T_world_camera, target.T_world_camera) < _SAME_POSE
    return ((edge_crossings(target, cameras, T_world_camera) > 0) | same).to(torch.float64)


def _edges(camera: Camera) -> Tensor:
    """Return unit directions [2, 3] of the left and right edges of a picture, in the plane y = 0."""
    x = torch.tensor([-camera.cx, camera.width - camera.cx], dtype=torch.float64) / camera.fx
    edges = torch.stack([x, torch.zeros_like(x), torch.ones_like(x)], dim=-1)
    return torch.nn.functional.normalize(edges, dim=-1)
