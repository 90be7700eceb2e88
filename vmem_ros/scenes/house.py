"""A procedural house: exact pictures, depth and normals at any pose, free space, and paths to drive."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vmem_ros.geometry import Camera, as_pose, look_at
from vmem_ros.scenes import trajectories
from vmem_ros.scenes.building_shell import build_shell
from vmem_ros.scenes.decoration import Decorator
from vmem_ros.scenes.freespace import Array, FreeSpace, distance_to_solids, inside_rooms
from vmem_ros.scenes.furnishing import furnish
from vmem_ros.scenes.layout import WALL_HEIGHT, Door, Room, draw_plan
from vmem_ros.scenes.lightmap import Sun, bake
from vmem_ros.scenes.materials import Materials, TextureAtlas
from vmem_ros.scenes.raycast import NEAR, SolidTable, cast, in_table_order, resolve
from vmem_ros.scenes.render import Portals, RenderedHouse, RenderScene
from vmem_ros.scenes.surfaces import Faces
from vmem_ros.scenes.time_of_day import DAYLIGHT, TimeOfDay
from vmem_ros.types import Target, View

#: Houses to learn from, and houses to be judged in. They never overlap.
TRAINING_SEEDS = range(0, 1_000_000)
EVALUATION_SEEDS = range(1_000_000, 1_001_000)

#: Field of view of the cameras in a house, degrees: rooms are small.
HOUSE_FOV_DEG = 75.0

_EYE_HEIGHT_M = 1.3
_PITCH_RAD = -0.05
# A cutaway shows what stands below this height.
_CUT_HEIGHT_M = 1.95
# A robot that looks about looks to both sides once in this distance.
_SWEEP_M = 3.0


class House:
    """Three to six furnished rooms joined by doors, the same for the same seed.

    World frame: right-handed, z up, metres, floor at z = 0, one corner of the outline at the origin. Poses are
    ``T_world_camera`` [4, 4] float64 with optical axes. Building takes milliseconds; textures and light are computed
    at the first picture, about a second, once per device.

    :param seed: any non-negative integer; use :data:`TRAINING_SEEDS` and :data:`EVALUATION_SEEDS`.
    :param time_of_day: the same house by day, or in the evening with its lamps on.
    :param device: where pictures are computed unless a call says otherwise.
    :raises ValueError: a negative seed, or an unknown time of day.
    """

    def __init__(self, seed: int, *, time_of_day: TimeOfDay = "day", device: torch.device | str = "cpu") -> None:
        if seed < 0:
            raise ValueError(f"seed must be a non-negative integer, got {seed}")
        if time_of_day not in DAYLIGHT:
            raise ValueError(f"time_of_day must be one of {sorted(DAYLIGHT)}, got {time_of_day!r}")
        self.seed = seed
        self.device = torch.device(device)
        rng = np.random.default_rng((seed, 1))
        self.plan = draw_plan(rng)
        self.materials = Materials()
        daylight = DAYLIGHT[time_of_day]
        decorator = Decorator(self.materials, rng, daylight)
        shell = build_shell(self.plan, [decorator.finish(room) for room in self.plan.rooms])
        self.solids = in_table_order(shell + furnish(self.plan, decorator, rng))
        azimuth, elevation = rng.uniform(-np.pi, np.pi), rng.uniform(0.45, 0.8)
        towards = (np.cos(azimuth) * np.cos(elevation), np.sin(azimuth) * np.cos(elevation), np.sin(elevation))
        self._sun = Sun(tuple(float(x) for x in towards), daylight.sun)  # type: ignore[arg-type]
        self._mean_light = daylight.mean
        self._stages: dict[torch.device, RenderScene] = {}

    @property
    def rooms(self) -> tuple[Room, ...]:
        """The rooms: name, kind, bounds, centre, windows."""
        return self.plan.rooms

    @property
    def doors(self) -> tuple[Door, ...]:
        """The doors: which rooms they join, where, how wide."""
        return self.plan.doors

    # Pictures

    def render(
        self,
        target: Target | tuple[Camera, Tensor],
        *,
        supersample: int = 1,
        cutaway: bool = False,
        device: torch.device | str | None = None,
    ) -> RenderedHouse:
        """Return the exact image, depth and normals at one pose.

        :param target: where to look from; its stamp does not matter. A pair (camera, T_world_camera) will do.
        :param supersample: colours are averaged over this many by this many rays a pixel; depth and normals are always
            those of the ray through the pixel's centre.
        :param cutaway: without ceilings and what hangs from them, to look in from above (:meth:`plan_target`).
        """
        camera, T_world_camera = _camera_and_pose(target)
        batch = self.render_batch(camera, T_world_camera[None], supersample=supersample, cutaway=cutaway, device=device)
        return RenderedHouse(batch.image[0], batch.depth[0], batch.normals[0])

    def render_batch(
        self,
        camera: Camera,
        T_world_camera: Tensor | ArrayLike,
        *,
        supersample: int = 1,
        cutaway: bool = False,
        device: torch.device | str | None = None,
    ) -> RenderedHouse:
        """Return the same for poses [N, 4, 4] at once: image [N, H, W, 3], depth [N, H, W], normals [N, H, W, 3].

        :raises InvalidPoseError: a pose is not rigid.
        :raises ValueError: ``supersample`` is not 1 to 8, or there is no pose.
        """
        T = as_pose(T_world_camera)
        if T.ndim != 3 or len(T) == 0:
            raise ValueError(f"render_batch needs poses [N, 4, 4] with N >= 1, got {list(T.shape)}")
        if not 1 <= supersample <= 8:
            raise ValueError(f"supersample must be 1 to 8, got {supersample}")
        stage = self._stage(device)
        hidden = None
        if cutaway:
            hidden = torch.tensor([s.low > _CUT_HEIGHT_M for s in self.solids], device=stage.light.device)
        return stage.shoot(camera, T, supersample=supersample, hidden=hidden)

    def plan_target(self, width: int = 640) -> Target:
        """Return a camera high above the house that sees all of it, image x along world x; for ``cutaway`` pictures."""
        (x, y), margin, high = self.plan.size, 0.3, 60.0
        height = max(1, round(width * (y + 2 * margin) / (x + 2 * margin)))
        focal = width / (x + 2 * margin) * (high - WALL_HEIGHT)
        K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return Target(Camera(K, width, height), look_at((x / 2, y / 2, high), (x / 2, y / 2, 0), up=(0, 1, 0)))

    def view(self, target: Target, *, supersample: int = 1) -> View:
        """Return what a perfect RGB-D camera would record: exact depth, confidence 1, ``source="observed"``."""
        rendering = self.render(target, supersample=supersample)
        depth = rendering.depth.cpu()
        return View(
            image=rendering.image.cpu(),
            camera=target.camera,
            T_world_camera=target.T_world_camera,
            depth=depth,
            confidence=torch.ones_like(depth),
            stamp_ns=target.stamp_ns,
            source="observed",
        )

    def visible(self, a: Tensor | ArrayLike, b: Tensor | ArrayLike) -> Tensor:
        """Return [N] bool: whether nothing stands between points ``a`` and ``b``, both [N, 3] in the world frame."""
        p, q = (torch.as_tensor(x, dtype=torch.float32).reshape(-1, 3) for x in (a, b))
        p, q = torch.broadcast_tensors(p, q)
        table = SolidTable.of(self.solids, "cpu")
        candidates = torch.ones(1, len(table), dtype=torch.bool)
        # Points on a surface count as seen from outside it.
        way = (q - p).T
        length = torch.linalg.vector_norm(way, dim=0)
        solid = cast(table, candidates, p.T[None], torch.where(length > 0, way, 1.0)[None])[0]
        reach = resolve(table, solid, p.T, torch.where(length > 0, way, 1.0)).distance
        return (reach * length >= length - 10 * NEAR) | (length == 0)

    def _stage(self, device: torch.device | str | None) -> RenderScene:
        where = self.device if device is None else torch.device(device)
        if where not in self._stages:
            materials = self.materials.items
            textures = list(dict.fromkeys(materials[solid.material].texture for solid in self.solids))
            table = SolidTable.of(self.solids, where)
            faces = Faces.of(self.solids, materials, textures, where)
            atlas = TextureAtlas.of(textures, where)
            light = bake(self.plan, self.solids, materials, table, faces, atlas, self._sun, self._mean_light, self.seed)
            self._stages[where] = RenderScene(table, faces, atlas, light, Portals.of(self.plan, where))
        return self._stages[where]

    # Free space

    @cached_property
    def free_space(self) -> FreeSpace:
        """The floor that a robot can use."""
        return FreeSpace(self.plan, self.solids)

    def is_free(self, points: Tensor | ArrayLike, *, radius: float = 0.0) -> NDArray[np.bool_]:
        """Return [N] bool: whether a ball of ``radius`` metres at each point [N, 3] touches nothing, inside the house.

        :raises ValueError: wrong shape or a negative radius.
        """
        p = np.asarray(points, np.float64)
        if p.ndim != 2 or p.shape[1] != 3:
            raise ValueError(f"points must have shape [N, 3], got {list(p.shape)}")
        if radius < 0:
            raise ValueError(f"radius must not be negative, got {radius:g}")
        return inside_rooms(p, self.plan) & (distance_to_solids(p, self.solids) > radius)

    # Paths

    @cached_property
    def loop_rooms(self) -> tuple[int, int]:
        """The two rooms that :meth:`loop` goes through unless told otherwise: neighbours with the most floor."""
        best = max(self.doors, key=lambda d: self.rooms[d.rooms[0]].area + self.rooms[d.rooms[1]].area)
        return best.rooms

    def loop(
        self, n: int, *, rooms: Sequence[int] | None = None, height: float = _EYE_HEIGHT_M, pitch: float = _PITCH_RAD
    ) -> Tensor:
        """Return poses [n, 4, 4] of a round through at least two rooms; the last pose is exactly the first.

        :param rooms: indices of rooms to visit, in this order; by default :attr:`loop_rooms`.
        """
        _at_least(n, 3)
        chosen = self._rooms(self.loop_rooms if rooms is None else rooms)
        before = chosen[-1:] + chosen[:-1]
        stops = np.concatenate([self._round(a, 3, after=b) for a, b in zip(chosen, before, strict=True)])
        line = trajectories.connect(self.free_space, stops, closed=True)
        angle = trajectories.headings(self.free_space, line, closed=True)
        position, heading = trajectories.even_steps(line, angle, n, closed=True)
        out = trajectories.poses(position, heading, height=height, pitch=pitch)
        out[-1] = out[0]
        return out

    def out_and_back(
        self, n: int, *, rooms: Sequence[int] | None = None, height: float = _EYE_HEIGHT_M, pitch: float = _PITCH_RAD
    ) -> Tensor:
        """Return poses [n, 4, 4] into the next room and back by the same poses: pose i is exactly pose n - 1 - i.

        :param rooms: indices of two or more rooms on the way out, in this order; by default :attr:`loop_rooms`.
        """
        _at_least(n, 2)
        chosen = self._rooms(self.loop_rooms if rooms is None else rooms)
        if len(set(chosen)) < 2:
            raise ValueError(f"out_and_back needs two different rooms, got {chosen}")
        stops = np.stack([self._far_stop(room, chosen) for room in chosen])
        out = self._open_path(stops, -(-n // 2), height=height, pitch=pitch, sweep=0.0)
        return torch.cat([out, out.flip(0)[n % 2 :]])

    def drive(
        self, n: int, *, rooms: Sequence[int] | None = None, height: float = _EYE_HEIGHT_M, pitch: float = _PITCH_RAD
    ) -> Tensor:
        """Return poses [n, 4, 4] of a survey: round every room, from door to door, looking to both sides.

        :param rooms: indices of rooms to survey; by default all.
        """
        _at_least(n, 2)
        chosen = self._rooms(range(len(self.rooms)) if rooms is None else rooms)
        order = trajectories.rooms_in_order(self.plan, chosen)
        before = order[:1] + order[:-1]
        stops = np.concatenate([self._round(a, 4, after=b) for a, b in zip(order, before, strict=True)])
        return self._open_path(stops, n, height=height, pitch=pitch, sweep=0.7)

    def random_walk(
        self,
        n: int,
        seed: int,
        *,
        step: float = 0.2,
        height: float = _EYE_HEIGHT_M,
        pitch: float = _PITCH_RAD,
    ) -> Tensor:
        """Return poses [n, 4, 4] between random places of the whole house, about ``step`` metres apart.

        Turning on the way counts as moving, so that steps in curves are shorter.
        """
        _at_least(n, 2)
        if seed < 0 or step <= 0:
            raise ValueError(f"seed must not be negative and step must be positive, got {seed} and {step:g}")
        rng = np.random.default_rng((self.seed, 7, seed))
        places = self.free_space.centres(self.free_space.reachable(trajectories.CLEARANCE_M + 0.1))
        stops = [places[rng.integers(len(places))]]
        length = 0.0
        while length < n * step:
            stops.append(places[rng.integers(len(places))])
            length += float(np.linalg.norm(stops[-1] - stops[-2]))
        line = trajectories.connect(self.free_space, np.stack(stops), closed=False)
        sweep, cycles = float(rng.uniform(0.0, 0.5)), round(trajectories.length_m(line) / _SWEEP_M)
        angle = trajectories.headings(self.free_space, line, closed=False, sweep=sweep, cycles=cycles)
        position, heading = trajectories.limited(line, angle, n, step=step)
        return trajectories.poses(position, heading, height=height, pitch=pitch)

    def _open_path(self, stops: Array, n: int, *, height: float, pitch: float, sweep: float) -> Tensor:
        line = trajectories.connect(self.free_space, stops, closed=False)
        # A look to both sides takes at least ten poses, or it would be a jump.
        cycles = max(1, min(round(trajectories.length_m(line) / _SWEEP_M), n // 10))
        angle = trajectories.headings(self.free_space, line, closed=False, sweep=sweep, cycles=cycles)
        position, heading = trajectories.even_steps(line, angle, n, closed=False)
        return trajectories.poses(position, heading, height=height, pitch=pitch)

    def _round(self, room: int, stops: int, *, after: int) -> Array:
        """Return viewpoints of a room in the order of a round, the first towards the room that one comes from."""
        points = trajectories.around(trajectories.viewpoints(self.free_space, self.rooms[room], stops))
        first = np.linalg.norm(points - np.array(self.rooms[after].centre), axis=1).argmin()
        return np.roll(points, -int(first), axis=0)

    def _far_stop(self, room: int, rooms: Sequence[int]) -> Array:
        """Return the viewpoint of a room that is farthest from the other rooms of a path."""
        others = np.array([self.rooms[r].centre for r in rooms if r != room])
        points = trajectories.viewpoints(self.free_space, self.rooms[room], 5)
        distance = np.linalg.norm(points[:, None] - others, axis=-1).min(axis=1)
        return np.asarray(points[int(distance.argmax())])

    def _rooms(self, rooms: Sequence[int]) -> list[int]:
        chosen = list(rooms)
        if not chosen or any(not 0 <= r < len(self.rooms) for r in chosen):
            raise ValueError(f"rooms must be one or more of 0 to {len(self.rooms) - 1}, got {chosen}")
        return chosen


def _at_least(n: int, least: int) -> None:
    if n < least:
        raise ValueError(f"n must be at least {least}, got {n}")


def _camera_and_pose(target: Target | tuple[Camera, Tensor]) -> tuple[Camera, Tensor]:
    if isinstance(target, Target):
        return target.camera, target.T_world_camera
    camera, T_world_camera = target
    return camera, as_pose(T_world_camera)
