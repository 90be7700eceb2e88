"""A small transform buffer: what ``tf2_ros.Buffer`` does for a camera, for installations without it."""

from __future__ import annotations

from bisect import bisect, insort
from dataclasses import dataclass, field

import torch
from torch import Tensor

from vmem_ros.errors import FrameError
from vmem_ros.geometry import interpolate_poses, invert

_KEEP_NS = 10_000_000_000
# Longer chains of frames are a loop.
_MAX_DEPTH = 100


@dataclass
class _Edge:
    """Transforms from a parent to one child, sorted by time."""

    parent: str
    static: bool
    stamps_ns: list[int] = field(default_factory=list)
    T_parent_child: dict[int, Tensor] = field(default_factory=dict)

    def at(self, stamp_ns: int, child: str) -> Tensor:
        if self.static:
            return self.T_parent_child[self.stamps_ns[-1]]
        first, last = self.stamps_ns[0], self.stamps_ns[-1]
        if not first <= stamp_ns <= last:
            late = stamp_ns > last
            seconds = (stamp_ns - last if late else first - stamp_ns) / 1e9
            raise FrameError(
                f"the transform {self.parent} -> {child} is asked for {seconds:.3f} s "
                f"{'after the newest' if late else 'before the oldest'} one: wait for it, or raise tf_timeout_s"
            )
        if stamp_ns in self.T_parent_child:
            return self.T_parent_child[stamp_ns]
        i = bisect(self.stamps_ns, stamp_ns)
        before, after = self.stamps_ns[i - 1], self.stamps_ns[i]
        keys = [self.T_parent_child[before], self.T_parent_child[after]]
        return interpolate_poses(keys, [0.0, (after - before) / 1e9], [(stamp_ns - before) / 1e9])[0]


class TransformTree:
    """Transforms between frames over the last ten seconds."""

    def __init__(self) -> None:
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
        while edge.stamps_ns[0] < edge.stamps_ns[-1] - _KEEP_NS or (static and len(edge.stamps_ns) > 1):
            del edge.T_parent_child[edge.stamps_ns.pop(0)]

    def lookup(self, target: str, source: str, stamp_ns: int) -> Tensor:
        """Return [4, 4] ``T_target_source``, interpolated at a time; time 0: the newest that all frames share.

        :raises FrameError: unknown frame, no connection, or no transform at that time.
        """
        up, down = self._ancestors(source), self._ancestors(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            raise FrameError(f"frames {source!r} and {target!r} are not connected; known are {self._known()}")
        up, down = up[: up.index(common)], down[: down.index(common)]
        if stamp_ns == 0:
            moving = [self._edges[f].stamps_ns[-1] for f in (*up, *down) if not self._edges[f].static]
            stamp_ns = min(moving, default=0)
        return invert(self._chain(down, stamp_ns)) @ self._chain(up, stamp_ns)

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
            T = self._edges[frame].at(stamp_ns, frame) @ T
        return T

    def _known(self) -> str:
        names = sorted({*self._edges, *(edge.parent for edge in self._edges.values())})
        return ", ".join(names) or "none: does anybody publish /tf?"
