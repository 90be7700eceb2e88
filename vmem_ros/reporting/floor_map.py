"""The world from above: what is remembered, where the robot was, which poses were asked for."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from vmem_ros.reporting.palette import ASKED, PAPER, ROBOT, Colour
from vmem_ros.types import Elements

# Elements whose distance to their neighbours is measured.
_MEASURED = 1000
# Lines are drawn with this many fractional bits, for smooth ones.
_SHIFT = 4


class FloorMap:
    """A map of what is remembered below head height, x to the right and y up, on which poses can be drawn.

    :param elements: of the memory of a world whose z axis points up.
    :param poses: [N, 4, 4] all poses that will be drawn; the map is cut above the highest and shows at least all.
    :param size: (width, height) of the map in pixels.
    """

    def __init__(self, elements: Elements, poses: Tensor, *, size: tuple[int, int]) -> None:
        self._width, self._height = size
        position = elements.position.cpu().double()
        below = position[:, 2] < float(poses[:, 2, 3].max()) + 0.25
        ground, colour = position[below], elements.color.cpu()[below]
        low, high = _bounds(ground, poses)
        self._centre = (low + high) / 2
        span = (high - low).clamp(min=0.5) * 1.06
        self._scale = float(min(self._width / span[0], self._height / span[1]))
        self._base = self._draw_ground(ground, colour, spacing_m=spacing_m(elements))

    def image(
        self, *, robot: Tensor, path: Tensor | None = None, here: Tensor | None = None, numbers: bool = False
    ) -> Tensor:
        """Return the map as uint8 [H, W, 3].

        :param robot: [N, 4, 4] where a real camera was.
        :param path: [M, 4, 4] poses that were asked for.
        :param here: [4, 4] the pose to point out.
        :param numbers: write the number of some of the poses of the path beside them.
        """
        canvas = self._base.copy()
        self._line(canvas, robot, ROBOT)
        for T in robot:
            self._dot(canvas, T, ROBOT, radius=3)
        if path is not None:
            self._line(canvas, path, ASKED)
            for i in range(0, len(path), max(1, len(path) // 24)):
                self._arrow(canvas, path[i], ASKED, length_px=11)
            if numbers:
                self._write_numbers(canvas, path)
        if here is not None:
            self._wedge(canvas, here, ASKED)
        return torch.from_numpy(canvas)

    def _draw_ground(self, position: Tensor, colour: Tensor, *, spacing_m: float) -> np.ndarray:
        canvas = np.full((self._height, self._width, 3), PAPER, np.uint8)
        if len(position) == 0:
            return canvas
        pixel = self._pixels(position[:, :2]).round().astype(np.int64)
        order = np.argsort(position[:, 2].numpy(), kind="stable")
        inside = np.all((pixel >= 0) & (pixel < (self._width, self._height)), axis=1)
        order = order[inside[order]]
        # Ascending height: of equal pixels the last one written, the highest element, stays.
        u, v = pixel[order].T
        canvas[v, u] = colour.numpy()[order] * 0.55 + np.asarray(PAPER) * 0.45
        drawn = np.zeros(canvas.shape[:2], np.uint8)
        drawn[v, u] = 1
        # Close the gaps between neighbours.
        gap = int(np.clip(np.ceil(spacing_m * self._scale), 1, 4))
        kernel = np.ones((2 * gap + 1, 2 * gap + 1), np.uint8)
        grown = cv2.dilate(canvas * drawn[..., None], kernel)
        near = cv2.dilate(drawn, kernel)[..., None]
        return np.where((near > 0) & (drawn[..., None] == 0), grown, canvas)

    def _pixels(self, xy: Tensor) -> np.ndarray:
        offset = (xy - self._centre) * self._scale
        return np.stack([self._width / 2 + offset[:, 0].numpy(), self._height / 2 - offset[:, 1].numpy()], axis=-1)

    def _fixed(self, T: Tensor) -> np.ndarray:
        return (self._pixels(T.reshape(-1, 4, 4)[:, :2, 3]) * 2**_SHIFT).round().astype(np.int32)

    def _line(self, canvas: np.ndarray, T: Tensor, colour: Colour) -> None:
        cv2.polylines(canvas, [self._fixed(T)], False, colour, 1, cv2.LINE_AA, _SHIFT)

    def _dot(self, canvas: np.ndarray, T: Tensor, colour: Colour, *, radius: int) -> None:
        centre = tuple(int(c) for c in self._fixed(T)[0])
        cv2.circle(canvas, centre, radius << _SHIFT, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)

    def _heading(self, T: Tensor) -> np.ndarray:
        forward = T[:2, 2].numpy() * (1, -1)
        return np.asarray(forward / max(float(np.linalg.norm(forward)), 1e-6))

    def _arrow(self, canvas: np.ndarray, T: Tensor, colour: Colour, *, length_px: int) -> None:
        start = self._fixed(T)[0]
        end = start + self._heading(T) * length_px * 2**_SHIFT
        cv2.line(canvas, tuple(map(int, start)), tuple(map(int, end)), colour, 2, cv2.LINE_AA, _SHIFT)

    def _wedge(self, canvas: np.ndarray, T: Tensor, colour: Colour) -> None:
        start, forward = self._pixels(T[None, :2, 3])[0], self._heading(T)
        side = np.array([-forward[1], forward[0]])
        reach = 0.16 * self._width
        corners = np.stack([start, start + reach * (forward + 0.5 * side), start + reach * (forward - 0.5 * side)])
        shape = (corners * 2**_SHIFT).round().astype(np.int32)
        veil = canvas.copy()
        cv2.fillPoly(veil, [shape], colour, cv2.LINE_AA, _SHIFT)
        cv2.addWeighted(veil, 0.45, canvas, 0.55, 0, dst=canvas)
        cv2.polylines(canvas, [shape], True, colour, 1, cv2.LINE_AA, _SHIFT)
        self._dot(canvas, T, colour, radius=4)

    def _write_numbers(self, canvas: np.ndarray, path: Tensor) -> None:
        for i in range(0, len(path) - 1, max(1, len(path) // 12)):
            u, v = (self._pixels(path[i, None, :2, 3])[0] - 14 * self._heading(path[i])).round().astype(int)
            cv2.putText(canvas, str(i), (u - 6, v + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.36, ASKED, 1, cv2.LINE_AA)


def _bounds(ground: Tensor, poses: Sequence[Tensor] | Tensor) -> tuple[Tensor, Tensor]:
    """Return the corners (low, high) [2] of the map: all poses, and the ground but for the farthest few."""
    seen = torch.stack([T[:2, 3] for T in poses]).double()
    low, high = seen.amin(dim=0), seen.amax(dim=0)
    if len(ground) == 0:
        return low, high
    # A few far elements, seen through a window or a hole, must not shrink the map.
    ordered = ground[:, :2].sort(dim=0).values
    margin = len(ordered) // 500
    return torch.minimum(low, ordered[margin]), torch.maximum(high, ordered[-1 - margin])


def spacing_m(elements: Elements) -> float:
    """Return how far neighbouring elements are apart, about: twice their radius, where they have one."""
    if len(elements) < 2:
        return 0.0
    if elements.radius is not None:
        return 2 * float(elements.radius.median())
    position = elements.position.cpu().numpy()
    some = position[:: max(1, len(position) // _MEASURED)]
    return float(np.median(cKDTree(position).query(some, k=2)[0][:, 1]))
