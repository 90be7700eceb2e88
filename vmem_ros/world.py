"""The loop: read what matters, generate what is new, find its geometry, write it back."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vmem_ros.errors import (
    CancelledError,
    InvalidImageError,
    MemoryFullError,
    ModelError,
    NotSeededError,
    VmemError,
    WorldFileError,
)
from vmem_ros.generation import ReprojectionGenerator, composite_remembered
from vmem_ros.memory import DEFAULT_MEMORY, MemoryVersion, load_memory
from vmem_ros.pointmaps import AlignedDepth, GivenDepth, MemoryDepth, SensorDepth
from vmem_ros.protocols import Generator, Memory, PointMapEstimator, ShouldStop
from vmem_ros.types import IMAGINED_CONFIDENCE, PointMap, Projection, Recall, Target, View
from vmem_ros.world_file import read_world, write_world

#: ``none``: the generator's picture as it is; ``remembered``: remembered pixels blended in.
Composite = Literal["none", "remembered"]
#: Whether one unit is a metre, or the scale is only consistent in itself.
Scale = Literal["metric", "relative"]

#: Numbers of runs: each is a commit of its own, whichever world it belongs to.
_RUNS = itertools.count()


@dataclass(frozen=True)
class Progress:
    """Where a run of :meth:`World.explore` is: step j of m, in the chunk that starts with view i of n; all from 1.

    :param chunk: views of the chunk in work.
    """

    view: int
    views: int
    step: int
    steps: int
    chunk: int

    @property
    def fraction(self) -> float:
        """Share of the whole run that is done, in (0, 1]."""
        return (self.view - 1 + self.chunk * self.step / self.steps) / self.views


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


@dataclass(frozen=True, eq=False)
class Chunk:
    """The frames that were generated together.

    :param first: number of the first of them among the targets of the run, from 0.
    :param targets: how many targets the run has.
    """

    frames: tuple[Frame, ...]
    first: int
    targets: int


class World:
    """A world that is imagined where nobody looked yet, and remembered where somebody did.

    Not thread-safe: one thread owns a world and its branches. A method that raises leaves it as it was.

    :param memory: nobody else writes to it from now on.
    :param k: reference views that memory recalls for a chunk.
    :param chunk: views generated together; ``None``: as many as the generator likes.
    :param composite: what becomes of remembered pixels.
    :param reuse_views: return a stored view when exactly its camera and pose are asked for.
    """

    def __init__(
        self,
        memory: Memory,
        generator: Generator,
        estimator: PointMapEstimator,
        *,
        k: int = 4,
        chunk: int | None = None,
        composite: Composite = "remembered",
        reuse_views: bool = True,
    ) -> None:
        chunk = generator.frames if chunk is None else chunk
        if k < 1 or chunk < 1:
            raise ValueError(f"k and chunk must be at least 1, got {k} and {chunk}")
        if composite not in get_args(Composite):
            raise ValueError(f"composite must be one of {get_args(Composite)}, got {composite!r}")
        self._version = MemoryVersion(memory)
        self.generator = generator
        self.estimator = estimator
        self.k = k
        self.chunk = chunk
        self.composite = composite
        self.reuse_views = reuse_views
        self._scale: Scale = "metric"
        self._sensor = SensorDepth()
        self._of_generator = AlignedDepth(GivenDepth())

    @property
    def memory(self) -> Memory:
        """What the world remembers: to read. Valid until the world or one of its branches changes or is asked."""
        return self._version.memory

    @property
    def scale(self) -> Scale:
        """``metric`` if one unit is a metre: the first view came with measured depth, or an estimator that knows it."""
        return self._scale if len(self) else "metric"

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
        first = not len(self)
        with _out_of_memory_named():
            (found,), metric = self._geometry(view)
            if mask is not None:
                depth = torch.where(mask.to(found.depth.device), torch.nan, found.depth)
                found = PointMap.from_depth(
                    depth, found.confidence, found.camera, found.T_world_camera, shown=found.shown
                )
                view = dataclasses.replace(view, confidence=(~mask).to(found.depth))
            view = dataclasses.replace(view, depth=found.depth.contiguous())
            self._version.write([view], [found], label="")
        if first:
            self._scale = "metric" if metric else "relative"

    def glimpse(self, target: Target) -> Projection:
        """Return what memory alone shows at a pose: milliseconds, holes allowed, nothing changes."""
        with _out_of_memory_named():
            return self.memory.project(target)

    def explore(
        self,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        commit: bool = True,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Iterator[Frame]:
        """Yield a frame for each target in order; arguments and errors as of :meth:`explore_chunks`."""
        chunks = self.explore_chunks(
            targets, prompt=prompt, seed=seed, commit=commit, on_progress=on_progress, should_stop=should_stop
        )
        for chunk in chunks:
            yield from chunk.frames

    def explore_chunks(
        self,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        commit: bool = True,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Iterator[Chunk]:
        """Yield the frames of the targets in chunks, each once it is in memory. All of them are one commit.

        :param prompt: text for generators that use one.
        :param seed: equal seeds and equal worlds give equal frames.
        :param commit: false draws the same frames and leaves the world as it was, bit by bit.
        :param on_progress: called between steps; memory does not change while it runs, so it may glimpse.
        :param should_stop: asked between steps; once true, the chunk in work is dropped.
        :raises NotSeededError: the world has no view yet.
        :raises ModelError: a prompt for a generator that uses none.
        :raises CancelledError: ``should_stop`` returned true; frames yielded before are committed.
        """
        if not len(self):
            raise NotSeededError("the world has no view yet: seed it with an image, its camera, pose and depth")
        if prompt and "prompt" not in self.generator.uses:
            raise ModelError(
                f"the generator {self.generator.name!r} uses no prompt: leave it out, or use another engine"
            )
        world = self if commit else self.branch()
        label = f"run {next(_RUNS)}"
        try:
            for start in range(0, len(targets), self.chunk):
                if should_stop is not None and should_stop():
                    raise CancelledError(f"cancelled after {start} of {len(targets)} views")
                wanted = targets[start : start + self.chunk]

                def on_step(step: int, steps: int, first: int = start + 1, chunk: int = len(wanted)) -> None:
                    if on_progress is not None:
                        on_progress(Progress(first, len(targets), step, steps, chunk))

                with _out_of_memory_named():
                    frames = world._step(
                        wanted, prompt, None if seed is None else seed + start, label, on_step, should_stop
                    )
                yield Chunk(tuple(frames), start, len(targets))
        finally:
            if not commit:
                world.release()

    def branch(self) -> World:
        """Return a world that is equal until one of both changes, and shares what both remember.

        It costs what is added to it, not what is there. Using both in turns costs what was added to each
        (:mod:`vmem_ros.memory.versions`). It belongs to the same thread; :meth:`release` it, or drop it, when done.
        """
        out = copy.copy(self)
        out._version = self._version.branch()
        return out

    def release(self) -> None:
        """Give a branch up at once; it cannot be used any more."""
        self._version.release()

    def undo(self, n: int = 1) -> None:
        """Forget the last ``n`` commits and exactly what they added; a commit is one observed view, or one run.

        :raises NothingToUndoError: there are fewer.
        """
        self._version.undo(n)

    def reset(self) -> None:
        """Forget everything."""
        self._version.clear()

    def save(self, path: Path | str, *, overwrite: bool = False) -> int:
        """Write the world to a file, atomically, and return its size in bytes.

        :raises WorldFileError: see :func:`vmem_ros.world_file.write_world`.
        """
        memory = self.memory
        tensors, metadata = memory.state()
        about = {"scale": self.scale, "kind": memory.kind, "options": dict(memory.options), "memory": metadata}
        return write_world(Path(path), tensors, about, overwrite=overwrite)

    def load(self, path: Path | str) -> None:
        """Replace the world by a saved one; on any error the present world stays.

        :raises WorldFileError: see :func:`vmem_ros.world_file.read_world`; or another kind of memory wrote it.
        """
        tensors, metadata = read_world(Path(path))
        scale, memory = _checked(metadata, self.memory.kind, path)
        with _out_of_memory_named():
            self._version.restore(tensors, memory)
        self._scale = scale

    def _read(self, targets: Sequence[Target]) -> Recall:
        """Return what memory recalls; with branches around, without a trace in what they share."""
        return self.memory.read(targets, self.k, record=not self._version.branched)

    def _geometry(self, view: View) -> tuple[list[PointMap], bool]:
        """Return the geometry of an observed view, and whether it is metric by itself."""
        measured = view.depth is not None and bool((torch.isfinite(view.depth) | torch.isposinf(view.depth)).any())
        if measured or not self.estimator.uses_image:
            return self._sensor.estimate([view]), True
        if len(self):
            recall = self._read([view.target])
        else:
            recall = Recall((), torch.empty(0, dtype=torch.float64), (), (self.memory.project(view.target),))
        maps = self.estimator.estimate([view], recall)
        if not bool(torch.isfinite(maps[0].depth).any()):
            raise InvalidImageError(
                f"the view has no depth, and the estimator {self.estimator.name!r} finds none where nothing is "
                "remembered: give z-depth in metres, or use an estimator of metric depth"
            )
        return maps, self.estimator.metric

    def _step(
        self,
        targets: Sequence[Target],
        prompt: str | None,
        seed: int | None,
        label: str,
        on_step: Callable[[int, int], None],
        should_stop: ShouldStop | None,
    ) -> list[Frame]:
        """Generate and commit one chunk, and return its frames in the order of the targets."""
        recall = self._read(targets)
        stored = [self.memory.find(t) if self.reuse_views else None for t in targets]
        new = [i for i, view in enumerate(stored) if view is None]
        views: list[View] = []
        if new:
            wanted = dataclasses.replace(recall, projections=tuple(recall.projections[i] for i in new))
            views = self.generator.generate(
                wanted,
                [targets[i] for i in new],
                prompt=prompt,
                seed=seed,
                on_step=on_step,
                should_stop=should_stop,
            )
            views = [self._finish(v, p) for v, p in zip(views, wanted.projections, strict=True)]
            # Depth that a generator draws is a prediction like any other.
            drawn = all(view.depth is not None for view in views)
            maps = (self._of_generator if drawn else self.estimator).estimate(views, wanted)
            views = [dataclasses.replace(v, depth=m.depth.contiguous()) for v, m in zip(views, maps, strict=True)]
            self._version.write(views, maps, label=label)
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


def _checked(metadata: Mapping[str, Any], kind: str, path: Path | str) -> tuple[Scale, Mapping[str, Any]]:
    """Return scale and content of the metadata of a world file.

    :raises WorldFileError: it is not for a memory of this kind.
    """
    memory = metadata.get("memory")
    scale: Scale | None = next((s for s in get_args(Scale) if s == metadata.get("scale")), None)
    if scale is None or not isinstance(memory, dict):
        raise WorldFileError(f"{path} has no valid metadata: scale is {metadata.get('scale')!r}")
    # Files that say nothing are from when there was one kind.
    written_by = metadata.get("kind", DEFAULT_MEMORY)
    if written_by != kind:
        raise WorldFileError(
            f"{path} was written by a memory of kind {written_by!r} and this world has one of kind {kind!r}: load it "
            f"into a world with memory kind {written_by!r} (node: memory.kind, command line: --memory)"
        )
    return scale, memory


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
    memory: Memory | None = None,
    estimator: PointMapEstimator | None = None,
    reuse_views: bool = True,
) -> World:
    """Return a world with what stands in the package where nothing is named.

    :param generator: by default reprojection, which runs with nothing else installed.
    :param device: of the default memory.
    :param memory: by default an empty one of the default kind.
    :param estimator: by default memory's own depth; a world cannot begin with a view without depth then.
    """
    generator = ReprojectionGenerator() if generator is None else generator
    memory = load_memory(device=device) if memory is None else memory
    return World(memory, generator, estimator or MemoryDepth(), reuse_views=reuse_views)
