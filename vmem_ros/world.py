"""The loop: read what matters, generate what is new, find its geometry, write it back."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from vmem_ros.errors import (
    CancelledError,
    InvalidImageError,
    MemoryFullError,
    NotSeededError,
    VmemError,
    WorldFileError,
)
from vmem_ros.generation import ReprojectionGenerator, composite_remembered
from vmem_ros.memory.surfel import SurfelMemory, SurfelMemoryConfig
from vmem_ros.pointmaps import MemoryDepth, SensorDepth
from vmem_ros.protocols import Generator, Memory, PointMapEstimator, ShouldStop
from vmem_ros.types import IMAGINED_CONFIDENCE, PointMap, Projection, Recall, Target, View
from vmem_ros.world_file import read_world, write_world

#: ``none``: the generator's picture as it is; ``remembered``: remembered pixels blended in.
Composite = Literal["none", "remembered"]
#: Whether one unit is a metre, or the scale is only consistent in itself.
Scale = Literal["metric", "relative"]


@dataclass(frozen=True)
class Progress:
    """Where a run of :meth:`World.explore` is: step j of m, in the chunk that starts with view i of n; all from 1."""

    view: int
    views: int
    step: int
    steps: int


@dataclass(frozen=True, eq=False)
class Frame:
    """A generated view and how it came about.

    :param view: the view as it was stored.
    :param confidence: [H, W] float32: 0 invented now, :data:`~vmem_ros.types.IMAGINED_CONFIDENCE` remembered but
        imagined, 1 remembered and once seen by a real camera.
    :param recall: the views and projections it was drawn from.
    :param projection: what memory showed at its pose before it was generated.
    :param reused: a stored view at exactly this pose was returned; nothing was generated or written.
    """

    view: View
    confidence: Tensor
    recall: Recall
    projection: Projection
    reused: bool


class World:
    """A world that is imagined where nobody looked yet, and remembered where somebody did.

    Not thread-safe: one thread owns a world. A method that raises leaves it as it was.

    :param k: reference views that memory recalls for a chunk.
    :param chunk: views generated together.
    :param composite: what becomes of remembered pixels.
    :param reuse_views: return a stored view when exactly its camera and pose are asked for.
    :param scale: ``metric`` when depth comes in metres.
    """

    def __init__(
        self,
        memory: Memory,
        generator: Generator,
        estimator: PointMapEstimator,
        *,
        k: int = 4,
        chunk: int = 4,
        composite: Composite = "remembered",
        reuse_views: bool = True,
        scale: Scale = "metric",
    ) -> None:
        if k < 1 or chunk < 1:
            raise ValueError(f"k and chunk must be at least 1, got {k} and {chunk}")
        if composite not in get_args(Composite) or scale not in get_args(Scale):
            raise ValueError(
                f"composite must be one of {get_args(Composite)} and scale one of {get_args(Scale)}, "
                f"got {composite!r} and {scale!r}"
            )
        self.memory = memory
        self.generator = generator
        self.estimator = estimator
        self.k = k
        self.chunk = chunk
        self.composite = composite
        self.reuse_views = reuse_views
        self.scale: Scale = scale
        self._own_scale: Scale = scale
        self._sensor = SensorDepth()

    def __len__(self) -> int:
        return len(self.memory)

    def seed(self, view: View) -> None:
        """Start the world with a first image, its camera, pose and, where a sensor has it, depth.

        :raises VmemError: the world has views already; :meth:`reset` it first, or :meth:`observe` more.
        :raises InvalidImageError: see :meth:`observe`.
        """
        if len(self):
            raise VmemError(f"the world is seeded already ({len(self)} views): reset it, or observe more views")
        self.observe(view)

    def observe(self, view: View, *, mask: Tensor | None = None) -> None:
        """Put a real camera frame into the memory, at any time; it also seeds an empty world.

        Depth that comes with the view is kept as it is; a view without any gets that of the estimator.

        :param mask: [H, W] bool: pixels that are not to be remembered, because what they show moves.
        :raises InvalidImageError: the view has no depth and the estimator finds none, or the mask does not fit.
        """
        if mask is not None and (mask.dtype != torch.bool or tuple(mask.shape) != view.camera.size):
            raise InvalidImageError(
                f"mask must be bool {list(view.camera.size)} like the image, got {mask.dtype} {list(mask.shape)}"
            )
        view = dataclasses.replace(view, source="observed")
        with _out_of_memory_named():
            (found,) = self._geometry(view)
            if mask is not None:
                depth = torch.where(mask.to(found.depth.device), torch.nan, found.depth)
                found = PointMap.from_depth(
                    depth, found.confidence, found.camera, found.T_world_camera, shown=found.shown
                )
            self.memory.write([dataclasses.replace(view, depth=found.depth.contiguous())], [found])

    def glimpse(self, target: Target) -> Projection:
        """Return what memory alone shows at a pose: milliseconds, holes allowed, nothing changes."""
        with _out_of_memory_named():
            return self.memory.project(target)

    def explore(
        self,
        targets: Sequence[Target],
        *,
        seed: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Iterator[Frame]:
        """Yield a frame for each target in order, each chunk once it is committed to memory.

        :param seed: equal seeds and equal worlds give equal frames.
        :param on_progress: called between steps; memory does not change while it runs, so it may glimpse.
        :param should_stop: asked between steps; once true, the chunk in work is dropped.
        :raises NotSeededError: the world has no view yet.
        :raises CancelledError: ``should_stop`` returned true; frames yielded before are committed.
        """
        if not len(self):
            raise NotSeededError("the world has no view yet: seed it with an image, its camera, pose and depth")
        done = 0
        for start in range(0, len(targets), self.chunk):
            if should_stop is not None and should_stop():
                raise CancelledError(f"cancelled after {done} of {len(targets)} views")

            def on_step(step: int, steps: int, first: int = start + 1) -> None:
                if on_progress is not None:
                    on_progress(Progress(first, len(targets), step, steps))

            with _out_of_memory_named():
                chunk_seed = None if seed is None else seed + start
                frames = self._step(targets[start : start + self.chunk], chunk_seed, on_step, should_stop)
            done += len(frames)
            yield from frames

    def undo(self, n: int = 1) -> None:
        """Forget the last ``n`` views and exactly what they added."""
        self.memory.undo(n)

    def reset(self) -> None:
        """Forget everything."""
        self.memory.clear()
        self.scale = self._own_scale

    def save(self, path: Path | str, *, overwrite: bool = False) -> int:
        """Write the world to a file, atomically, and return its size in bytes.

        :raises WorldFileError: see :func:`vmem_ros.world_file.write_world`.
        """
        tensors, memory = self.memory.state()
        return write_world(Path(path), tensors, {"scale": self.scale, "memory": memory}, overwrite=overwrite)

    def load(self, path: Path | str) -> None:
        """Replace the world by a saved one; on any error the present world stays.

        :raises WorldFileError: see :func:`vmem_ros.world_file.read_world`.
        """
        tensors, metadata = read_world(Path(path))
        memory = metadata.get("memory")
        scale: Scale | None = next((s for s in get_args(Scale) if s == metadata.get("scale")), None)
        if scale is None or not isinstance(memory, dict):
            raise WorldFileError(f"{path} has no valid metadata: scale is {metadata.get('scale')!r}")
        with _out_of_memory_named():
            self.memory.restore(tensors, memory)
        self.scale = scale

    def _geometry(self, view: View) -> list[PointMap]:
        """Return the geometry of an observed view."""
        measured = view.depth is not None and bool(torch.isfinite(view.depth).any())
        if measured or not self.estimator.uses_image:
            return self._sensor.estimate([view])
        if len(self):
            recall = self.memory.read([view.target], self.k)
        else:
            recall = Recall((), torch.empty(0, dtype=torch.float64), (), (self.memory.project(view.target),))
        maps = self.estimator.estimate([view], recall)
        if not bool(torch.isfinite(maps[0].depth).any()):
            raise InvalidImageError(
                f"the view has no depth, and the estimator {self.estimator.name!r} finds none where nothing is "
                "remembered: give z-depth in metres, or use an estimator of metric depth"
            )
        return maps

    def _step(
        self,
        targets: Sequence[Target],
        seed: int | None,
        on_step: Callable[[int, int], None],
        should_stop: ShouldStop | None,
    ) -> list[Frame]:
        """Generate and commit one chunk, and return its frames in the order of the targets."""
        recall = self.memory.read(targets, self.k)
        stored = [self.memory.find(t) if self.reuse_views else None for t in targets]
        new = [i for i, view in enumerate(stored) if view is None]
        views: list[View] = []
        if new:
            wanted = dataclasses.replace(recall, projections=tuple(recall.projections[i] for i in new))
            views = self.generator.generate(
                wanted, [targets[i] for i in new], seed=seed, on_step=on_step, should_stop=should_stop
            )
            views = [self._finish(v, p) for v, p in zip(views, wanted.projections, strict=True)]
            maps = self.estimator.estimate(views, wanted)
            views = [dataclasses.replace(v, depth=m.depth.contiguous()) for v, m in zip(views, maps, strict=True)]
            self.memory.write(views, maps)
        generated = iter(views)
        return [
            Frame(
                view=old or next(generated),
                confidence=self._confidence(projection) if old is None else _confidence_of_stored(old),
                recall=recall,
                projection=projection,
                reused=old is not None,
            )
            for old, projection in zip(stored, recall.projections, strict=True)
        ]

    def _finish(self, view: View, projection: Projection) -> View:
        """Composite a generated view and note which of its pixels a real camera once saw."""
        real = torch.zeros_like(projection.confidence)
        if self.composite == "remembered":
            real = (projection.confidence - IMAGINED_CONFIDENCE).clamp(min=0) / (1 - IMAGINED_CONFIDENCE)
            image = composite_remembered(view.image, projection)
            if not torch.equal(image, view.image):
                # The encodings are those of another picture now.
                view = dataclasses.replace(view, image=image, latent=None, embedding=None)
        return dataclasses.replace(view, confidence=real)

    def _confidence(self, projection: Projection) -> Tensor:
        """Return the confidence of a new view: what was drawn anew is not what a camera saw, though it was shown."""
        if self.composite == "remembered":
            return projection.confidence
        return projection.confidence.clamp(max=IMAGINED_CONFIDENCE)


def _confidence_of_stored(view: View) -> Tensor:
    """Return the confidence of a stored view that is shown again: all of it is remembered."""
    assert view.confidence is not None, "the memory stores the confidence of every view"
    return IMAGINED_CONFIDENCE + (1 - IMAGINED_CONFIDENCE) * view.confidence


@contextlib.contextmanager
def _out_of_memory_named() -> Iterator[None]:
    """Turn the device's out-of-memory error into ours, after giving cached blocks back."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise MemoryFullError(
            f"the device is out of memory ({error}); the world is unchanged: lower the image size or the chunk, or "
            "bound the memory with memory.max_views"
        ) from error


def default_world(
    generator: Generator | None = None,
    *,
    device: torch.device | str = "cpu",
    memory: SurfelMemoryConfig | None = None,
    estimator: PointMapEstimator | None = None,
    reuse_views: bool = True,
) -> World:
    """Return a world of surfel memory.

    :param generator: by default reprojection, which runs with nothing else installed.
    :param estimator: by default memory's own depth; a world cannot begin with a view without depth then.
    """
    generator = ReprojectionGenerator() if generator is None else generator
    return World(SurfelMemory(memory, device=device), generator, estimator or MemoryDepth(), reuse_views=reuse_views)
