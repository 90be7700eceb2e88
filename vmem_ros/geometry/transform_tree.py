"""Coordinate frames that move against each other: a small ``tf2_ros.Buffer``, for recordings and where ROS has none."""

from __future__ import annotations

import math
from bisect import bisect, insort
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vmem_ros.errors import FrameError
from vmem_ros.geometry.poses import interpolate_poses, invert

# Longer chains of frames are a loop.
_MAX_DEPTH = 100
# Robots have thousands of frames, and an error may be logged every second.
_LISTED = 20


@dataclass
class _Edge:
    """Transforms from a parent to one child, sorted by time."""

    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)
    T_parent_child: dict[int, Tensor] = field(default_factory=dict)

    def at(self, stamp_ns: int, child: str, *, max_gap_ns: float, slack_ns: float) -> Tensor:
        if self.static:
            return self.T_parent_child[self.stamps_ns[-1]]
        if stamp_ns in self.T_parent_child:
            return self.T_parent_child[stamp_ns]
        i = bisect(self.stamps_ns, stamp_ns)
        before, after = self.stamps_ns[max(i - 1, 0)], self.stamps_ns[min(i, len(self.stamps_ns) - 1)]
        near = min(before, after, key=lambda known: abs(known - stamp_ns))
        if abs(near - stamp_ns) <= slack_ns and (before == after or after - before > max_gap_ns):
            return self.T_parent_child[near]
        name = f"the transform {self.parent} -> {child}"
        if before == after:
            where = "after the newest" if stamp_ns > before else "before the oldest"
            raise FrameError(f"{name} is asked for {abs(stamp_ns - before) / 1e9:.3f} s {where} one")
        if after - before > max_gap_ns:
            raise FrameError(f"{name} is not known from {before / 1e9:.3f} s to {after / 1e9:.3f} s")
        keys = [self.T_parent_child[before], self.T_parent_child[after]]
        return interpolate_poses(keys, [0.0, (after - before) / 1e9], [(stamp_ns - before) / 1e9])[0]


class TransformTree:
    """Transforms between frames, interpolated in time.

    :param keep_s: older transforms than so many seconds before the newest of their frame are forgotten.
    :param max_gap_s: between two transforms that are farther apart, nothing is known.
    :param slack_s: where nothing is known, a transform that is at most so far away stands in.
    """

    def __init__(self, *, keep_s: float = 10.0, max_gap_s: float = math.inf, slack_s: float = 0.0) -> None:
        self._keep_ns, self._max_gap_ns, self._slack_ns = keep_s * 1e9, max_gap_s * 1e9, slack_s * 1e9
        self._edges: dict[str, _Edge] = {}

    def clear(self) -> None:
        """Forget everything that is not static."""
        self._edges = {child: edge for child, edge in self._edges.items() if edge.static}

    def add(self, parent: str, child: str, T_parent_child: Tensor, stamp_ns: int, *, static: bool = False) -> None:
        """Add one transform; a child that changes its parent starts anew."""
        edge = self._edges.get(child)
        if edge is None or edge.parent != parent or edge.static != static:
            edge = self._edges[child] = _Edge(parent, static)
        if stamp_ns not in edge.T_parent_child:
            insort(edge.stamps_ns, stamp_ns)
        edge.T_parent_child[stamp_ns] = T_parent_child
        while edge.stamps_ns[0] < edge.stamps_ns[-1] - self._keep_ns or (static and len(edge.stamps_ns) > 1):
            del edge.T_parent_child[edge.stamps_ns.pop(0)]

    def lookup(self, target: str, source: str, stamp_ns: int) -> Tensor:
        """Return [4, 4] ``T_target_source``, interpolated at a time; time 0: the newest that all frames share.

        :raises FrameError: unknown frame, no connection, or no transform at that time.
        """
        return self._lookup(target, source, stamp_ns)[0]

    def newest(self, target: str, source: str) -> tuple[Tensor, int]:
        """Return [4, 4] ``T_target_source`` at the newest time that all frames share, and that; 0: none of them moves.

        :raises FrameError: unknown frame, or no connection.
        """
        return self._lookup(target, source, 0)

    def _lookup(self, target: str, source: str, stamp_ns: int) -> tuple[Tensor, int]:
        up, down = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            raise FrameError(f"frames {source!r} and {target!r} are not connected; known are {self._known()}")
        up, down = up[: up.index(common)], down[: down.index(common)]
        if stamp_ns == 0:
            moving = [self._edges[f].stamps_ns[-1] for f in (*up, *down) if not self._edges[f].static]
            stamp_ns = min(moving, default=0)
        return invert(self._chain(down, stamp_ns)) @ self._chain(up, stamp_ns), stamp_ns

    def _ancestors(self, frame: str) -> list[str]:
        """Return a frame and its parents up to the root."""
        if frame not in self._edges and all(edge.parent != frame for edge in self._edges.values()):
            raise FrameError(f"frame {frame!r} is unknown; known are {self._known()}")
        out = [frame]
        while out[-1] in self._edges:
            out.append(self._edges[out[-1]].parent)
            if len(out) > _MAX_DEPTH:
                raise FrameError(f"frame {frame!r} has more than {_MAX_DEPTH} ancestors: the tree has a loop")
        return out

    def _chain(self, frames: list[str], stamp_ns: int) -> Tensor:
        """Return ``T_root_first`` along frames that each are the child of the next."""
        T = torch.eye(4, dtype=torch.float64)
        for frame in frames:
            T = self._edges[frame].at(stamp_ns, frame, max_gap_ns=self._max_gap_ns, slack_ns=self._slack_ns) @ T
        return T

    def _known(self) -> str:
        names = sorted({*self._edges, *(edge.parent for edge in self._edges.values())})
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return ", ".join(names[:_LISTED]) + more or "none: does anybody publish /tf?"
