"""The small types through which the rooms of the package meet: plain frozen dataclasses of tensors."""

from __future__ import annotations

import copy
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from vmem_ros.errors import InvalidImageError, InvalidPoseError
from vmem_ros.geometry import Camera, as_pose, unproject
from vmem_ros.geometry import compiled_points as compiled
from vmem_ros.geometry.depth_maps import known_depth, measured_depth
from vmem_ros.kernels import usable
from vmem_ros.out_of_memory import is_out_of_memory

Source = Literal["observed", "generated"]

#: The fields of a view that are tensors of its picture.
MAPS = ("image", "depth", "confidence", "latent", "embedding")
# What a second look at an imagined pixel is worth: it is remembered, but no camera ever saw it.
IMAGINED_CONFIDENCE = 0.5
# That of a pixel in a hole of a surface, a few pixels wide: nobody saw or imagined it, but the surface goes on.
CLOSED_CONFIDENCE = 0.25
#: Over so many pixels remembered ones are blended into what is drawn.
BLEND_PX = 4
#: Depth beyond this is none: no camera measures it, and drivers mark with huge numbers what they do not know.
MAX_DEPTH_M = 10_000.0
#: Stamps end here, in 2038: those of ROS messages have 31 bits for the seconds.
END_OF_TIME_NS = 2**31 * 10**9


def confidence_of(provenance: Tensor) -> Tensor:
    """Return the confidence of what is remembered, from the share of it that a real camera saw, 0 to 1."""
    return IMAGINED_CONFIDENCE + (1 - IMAGINED_CONFIDENCE) * provenance


def as_image(image: object, name: str = "image") -> Tensor:
    """Return an image as a uint8 [H, W, 3] tensor (RGB), or raise :class:`InvalidImageError`."""
    out = _as_tensor(image, name)
    if out.dtype != torch.uint8 or out.ndim != 3 or out.shape[-1] != 3 or out.numel() == 0:
        raise InvalidImageError(f"{name} must be uint8 [H, W, 3] RGB, got {out.dtype} {list(out.shape)}")
    return out


def check_stamp(stamp_ns: int) -> None:
    """Raise :class:`InvalidPoseError` unless it is a time that messages can say: 0 to :data:`END_OF_TIME_NS`."""
    if not 0 <= stamp_ns < END_OF_TIME_NS:
        raise InvalidPoseError(
            f"stamp_ns = {stamp_ns} is no time: give nanoseconds from 0 to {END_OF_TIME_NS - 1} (in the year 2038)"
        )


def _as_tensor(values: object, name: str) -> Tensor:
    """Return values as a tensor whose rows follow one another in memory, copied only where they do not."""
    try:
        return torch.as_tensor(np.ascontiguousarray(values) if isinstance(values, np.ndarray) else values).contiguous()
    except (TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise InvalidImageError(f"{name} is no array of numbers: {error}") from error


def as_map(values: object, size: tuple[int, int], name: str) -> Tensor:
    """Return a float32 [H, W] map of the given (height, width), or raise :class:`InvalidImageError`."""
    out = _as_tensor(values, name)
    if not out.is_floating_point() or tuple(out.shape) != size:
        raise InvalidImageError(f"{name} must be float [{size[0]}, {size[1]}], got {out.dtype} {list(out.shape)}")
    return out.to(torch.float32)


@dataclass(frozen=True, eq=False)
class Target:
    """Where a view is wanted.

    :param camera: intrinsics and size of the wanted image.
    :param T_world_camera: [4, 4] float64.
    :param stamp_ns: time of the pose in nanoseconds; the view carries it.
    """

    camera: Camera
    T_world_camera: Tensor
    stamp_ns: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "T_world_camera", as_pose(self.T_world_camera))
        check_stamp(self.stamp_ns)


@dataclass(frozen=True, eq=False)
class View:
    """One image of the world and where it was taken.

    :param image: [H, W, 3] uint8 RGB.
    :param camera: its intrinsics; the size must agree with the image.
    :param T_world_camera: [4, 4] float64.
    :param depth: [H, W] float32 z-depth in metres; NaN unknown, +Inf looked and saw nothing. ``None`` if not estimated.
        What is not positive or beyond :data:`MAX_DEPTH_M` and finite becomes unknown.
    :param confidence: [H, W] float32, the share of each pixel that a real camera saw: 1 observed, 0 imagined.
    :param latent: [C, h, w] autoencoder latent, if a generator made one.
    :param embedding: [D] image embedding, if a generator made one.
    :param stamp_ns: acquisition time, i.e. the time of the pose, in nanoseconds.
    :param source: ``observed`` by a camera or ``generated``.
    """

    image: Tensor
    camera: Camera
    T_world_camera: Tensor
    depth: Tensor | None = None
    confidence: Tensor | None = None
    latent: Tensor | None = None
    embedding: Tensor | None = None
    stamp_ns: int = 0
    source: Source = "observed"

    def __post_init__(self) -> None:
        self._check(("image", "T_world_camera", "depth", "confidence", "stamp_ns"))

    def having(self, **changes: Any) -> View:
        """Return the view with other values of some fields. Only these are checked: the others have been.

        :raises InvalidImageError: they do not fit the image, or each other.
        :raises InvalidPoseError: the pose is none, or its time.
        """
        other = copy.copy(self)
        for name, value in changes.items():
            object.__setattr__(other, name, value)
        other._check(("image", "depth", "confidence", *changes) if "camera" in changes else tuple(changes))
        return other

    @property
    def maps(self) -> dict[str, Tensor]:
        """The tensors that lie on a device, by field: those that are set."""
        return {name: value for name in MAPS if (value := getattr(self, name)) is not None}

    @property
    def nbytes(self) -> int:
        """Bytes of its :attr:`maps`."""
        return sum(tensor.nbytes for tensor in self.maps.values())

    def copied(self, device: torch.device) -> View:
        """Return the view with a copy of its :attr:`maps` on a device; camera and pose stay on the CPU."""
        other = copy.copy(self)
        for name, value in self.maps.items():
            object.__setattr__(other, name, value.to(device, copy=True))
        return other

    def _check(self, names: Collection[str]) -> None:
        """Bring the fields of these names into their form, or say what is wrong with them."""
        if "image" in names:
            image = as_image(self.image)
            if tuple(image.shape[:2]) != self.camera.size:
                raise InvalidImageError(
                    f"image is {image.shape[1]} x {image.shape[0]} but its intrinsics are for "
                    f"{self.camera.width} x {self.camera.height}: resize one of them (Camera.resized)"
                )
            object.__setattr__(self, "image", image)
        if "T_world_camera" in names:
            object.__setattr__(self, "T_world_camera", as_pose(self.T_world_camera))
        if "stamp_ns" in names:
            check_stamp(self.stamp_ns)
        if "depth" in names and self.depth is not None:
            depth = as_map(self.depth, self.camera.size, "depth")
            # Sensors write 0 where they saw nothing; inside the package 0 is never a depth.
            object.__setattr__(self, "depth", measured_depth(depth, MAX_DEPTH_M))
        if "confidence" in names and self.confidence is not None:
            object.__setattr__(self, "confidence", as_map(self.confidence, self.camera.size, "confidence"))

    @property
    def target(self) -> Target:
        """The camera, pose and time of this view."""
        return Target(self.camera, self.T_world_camera, self.stamp_ns)


@dataclass(frozen=True, eq=False)
class PointMap:
    """Geometry of one view.

    :param points: [H, W, 3] float32 in the *optical frame* of the camera, metres; NaN where no surface is known, with
        z = +Inf where the camera looked and saw nothing.
    :param confidence: [H, W] float32 in [0, 1]: how much the geometry is to be trusted.
    :param shown: [H, W] int64: where the point is one that the memory has shown, its number in
        :attr:`Projection.ids`; -1 elsewhere. Such points are not remembered a second time. ``None``: all are new.
    """

    points: Tensor
    confidence: Tensor
    camera: Camera
    T_world_camera: Tensor
    shown: Tensor | None = None
    #: [H, W] z-depth of a map that was made of it, see :meth:`from_depth`; its points follow.
    known_depth: ClassVar[Tensor | None] = None

    @classmethod
    def from_depth(
        cls,
        depth: Tensor,
        confidence: Tensor,
        camera: Camera,
        T_world_camera: Tensor,
        *,
        shown: Tensor | None = None,
    ) -> PointMap:
        """Return the point map of a z-depth image [H, W]; NaN, infinite and non-positive depths have no point.

        :param confidence: [H, W], counts where there is a point.
        :param shown: see the class.
        """
        if shown is not None:
            shown = torch.where((depth > 0) & (depth < torch.inf), shown, -1)
        return cls.of_known(*known_depth(depth, confidence), camera, T_world_camera, shown=shown)

    @classmethod
    def of_known(
        cls,
        depth: Tensor,
        confidence: Tensor,
        camera: Camera,
        T_world_camera: Tensor,
        *,
        shown: Tensor | None = None,
    ) -> PointMap:
        """Return the point map of a z-depth image [H, W] that it may keep; see :meth:`from_depth`.

        :param depth: positive or NaN.
        :param confidence: [H, W], 0 where depth is not finite.
        :param shown: likewise -1.
        """
        made = object.__new__(cls)
        vars(made).update(
            known_depth=depth, confidence=confidence, camera=camera, T_world_camera=T_world_camera, shown=shown
        )
        return made

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Tensor:
            """Return the points of a map that was made of depth: made when somebody asks for them."""
            if name != "points" or self.known_depth is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            points = _points_of(self.known_depth, self.camera)
            object.__setattr__(self, "points", points)
            return points

    @property
    def depth(self) -> Tensor:
        """[H, W] z-depth in metres; NaN unknown, +Inf looked and saw nothing."""
        return self.points[..., 2] if self.known_depth is None else self.known_depth

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the points: (H, W, 3)."""
        return tuple(self.points.shape) if self.known_depth is None else (*self.known_depth.shape, 3)

    def on(self, device: torch.device, *, copy: bool = False) -> PointMap:
        """Return the map with its pixels on a device; camera and pose stay on the CPU.

        :param copy: copy them even where they are.
        """
        other = object.__new__(PointMap)
        vars(other).update(
            {n: v.to(device, copy=copy) if isinstance(v, Tensor) and n in _PIXELS else v for n, v in vars(self).items()}
        )
        return other


# What of a point map lies on a device.
_PIXELS = ("points", "known_depth", "confidence", "shown")


def _points_of(depth: Tensor, camera: Camera) -> Tensor:
    """Return the points [H, W, 3] of depth whose unknown pixels are NaN; infinite ones have none but z."""
    if depth.dtype == torch.float32 and not camera.K[0, 1] and (library := usable(depth)):
        return compiled.points_of(library, depth, camera)
    points = unproject(torch.where(depth < torch.inf, depth, torch.nan), camera)
    points[..., 2] = depth
    return points


@dataclass(frozen=True, eq=False)
class Projection:
    """What a memory shows at a pose, without imagining anything.

    :param image: [H, W, 3] uint8; zero where nothing is remembered.
    :param depth: [H, W] float32 z-depth in metres; NaN where nothing is remembered, or its depth is not known.
    :param seen: [H, W] bool: something is remembered here.
    :param ids: [H, W] int64: number of the element of the memory in front, or -1.
    :param confidence: [H, W] float32: 0 not seen, :data:`CLOSED_CONFIDENCE` in a small hole of a surface that was
        closed, :data:`IMAGINED_CONFIDENCE` remembered but imagined, 1 remembered and once seen by a real camera.
    :param features: [C, h, w] latents of the memory warped to the target, if it keeps any; with ``features_seen``
        [h, w] bool: cells that a latent covers.
    """

    image: Tensor
    depth: Tensor
    seen: Tensor
    ids: Tensor
    confidence: Tensor
    features: Tensor | None = None
    features_seen: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Elements:
    """N elements of a memory as a coloured cloud in the world frame, for display and files.

    :param position: [N, 3] float32 in metres.
    :param color: [N, 3] uint8 RGB.
    :param normal: [N, 3] float32 unit, or ``None`` if the elements have none.
    :param radius: [N] float32 in metres, or ``None``.
    :param number: [N] int64, ascending, by which :attr:`Projection.ids` names them; ``None``: by their place here.
    :param confidence: [N] float32: :data:`IMAGINED_CONFIDENCE` imagined ... 1 seen by a real camera, or ``None``.
    """

    position: Tensor
    color: Tensor
    normal: Tensor | None = None
    radius: Tensor | None = None
    number: Tensor | None = None
    confidence: Tensor | None = None

    def __len__(self) -> int:
        return len(self.position)

    def at_most(self, count: int) -> Elements:
        """Return these elements, or ``count`` of them that are evenly spread among them if there are more."""
        if len(self) <= count:
            return self
        even = torch.linspace(0, len(self) - 1, count, dtype=torch.float64).long()
        return self.select(even.to(self.position.device))

    def select(self, index: Tensor) -> Elements:
        """Return the elements numbered ``index`` [n] int64."""
        return Elements(
            self.position.index_select(0, index),
            self.color.index_select(0, index),
            None if self.normal is None else self.normal.index_select(0, index),
            None if self.radius is None else self.radius.index_select(0, index),
            index if self.number is None else self.number.index_select(0, index),
            None if self.confidence is None else self.confidence.index_select(0, index),
        )


@dataclass(frozen=True, eq=False)
class Recall:
    """What a memory returns for a chunk of targets.

    :param views: reference views, best first; at most the K asked for.
    :param weights: [len(views)] float64, non-negative, sum 1.
    :param indices: number of each view in the memory.
    :param projections: what memory shows at each target pose, one per target.
    :param fallback: nothing that the targets see is remembered, and the views are only the nearest poses.
    :param newest: the views that were written last, oldest first, at most as many as were asked for.
    """

    views: tuple[View, ...]
    weights: Tensor
    indices: tuple[int, ...]
    projections: tuple[Projection, ...] = field(default=())
    fallback: bool = False
    newest: tuple[View, ...] = field(default=())
