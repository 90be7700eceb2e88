"""The loop: read what matters, generate what is new, find its geometry, write it back."""

from __future__ import annotations

import contextlib
import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Generator as Steps
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vmem_ros.edits import Edited, Region, UnderMask
from vmem_ros.errors import (
    CancelledError,
    InvalidImageError,
    MemoryFullError,
    ModelError,
    NotSeededError,
    VmemError,
    WorldFileError,
)
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry.depth_maps import count_depth
from vmem_ros.memory import DEFAULT_MEMORY, MEMORIES, MemoryVersion, load_memory
from vmem_ros.memory.view_changes import filled
from vmem_ros.memory.view_storage import check_shapes, without_encodings
from vmem_ros.out_of_memory import is_out_of_memory
from vmem_ros.pointmaps import MemoryDepth, SensorDepth, SensorDepthOptions
from vmem_ros.pose_refinement import PoseRefinementOptions, Refinement, refine_pose
from vmem_ros.protocols import Generator, HasEncodings, Memory, PointMapEstimator, ShouldStop
from vmem_ros.tiles import project_in_tiles
from vmem_ros.types import Elements, PointMap, Projection, Recall, Target, View
from vmem_ros.world_editing import edit_version
from vmem_ros.world_file import read_world, write_world
from vmem_ros.world_imagining import ImaginedPath, ImaginedView, as_paths, imagine_views
from vmem_ros.world_step import Composite as Composite
from vmem_ros.world_step import Frame as Frame
from vmem_ros.world_step import Progress as Progress
from vmem_ros.world_step import Step

#: Whether one unit is a metre, or the scale is only consistent in itself.
Scale = Literal["metric", "relative"]

#: Numbers of runs: each is a commit of its own, whichever world it belongs to.
_RUNS = itertools.count()


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
    :param sensor: what measures the depth that observed views come with, and what becomes of it.
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
        sensor: SensorDepthOptions | None = None,
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
        # Of whose networks the encodings of a loaded world are.
        self._loaded_encodings = ""
        self._sensor = SensorDepth(sensor)

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

    def observe(
        self, view: View, *, mask: Tensor | None = None, refine: bool | PoseRefinementOptions = False
    ) -> Refinement | None:
        """Put a real camera frame into the memory, at any time; it also seeds an empty world.

        Exact depth that comes with the view is kept as it is, and what a sensor measured is cleaned
        (:class:`~vmem_ros.pointmaps.SensorDepth`); a view without any gets that of the estimator.

        :param mask: [H, W] bool: pixels that are not to be remembered, because what they show moves. Their colours are
            not stored: in their place is what the memory shows there, or else the colours around.
        :param refine: align the frame to what memory shows at its pose, and store it at the corrected pose where that
            fits better: for poses that are off by a few centimetres and degrees. It needs measured depth.
        :returns: what became of the pose, if it was to be refined.
        :raises InvalidImageError: the view has no depth and the estimator finds none, or the mask does not fit.
        """
        if mask is not None and (mask.dtype != torch.bool or tuple(mask.shape) != view.camera.size):
            raise InvalidImageError(
                f"mask must be bool {list(view.camera.size)} like the image, got {mask.dtype} {list(mask.shape)}"
            )
        view = view.having(source="observed")
        first = not len(self)
        refinement = None
        with _out_of_memory_named():
            if refine:
                options = refine if isinstance(refine, PoseRefinementOptions) else None
                refinement = refine_pose(view, self.memory.project(view.target), mask=mask, options=options)
                view = view.having(T_world_camera=view.T_world_camera @ refinement.T_correction)
            (found,), metric = self._geometry(view)
            if mask is not None:
                depth = torch.where(mask.to(found.depth.device), torch.nan, found.depth)
                found = PointMap.from_depth(
                    depth, found.confidence, found.camera, found.T_world_camera, shown=found.shown
                )
                view = self._without(mask, view).having(confidence=(~mask).to(found.depth))
            view = view.having(depth=found.depth)
            self._version.write([view], [found], label="")
        if first:
            self._scale = "metric" if metric else "relative"
        return refinement

    def edit(self, *, remove: Sequence[Region | UnderMask] = (), add: Elements | None = None) -> Edited:
        """Change what is remembered: a commit of its own, which :meth:`undo` takes back.

        What is removed is shown from no pose any more, and :meth:`explore` draws something new there. What is added is
        shown from every pose, until it is removed: what cameras see there does not change it.

        :param remove: places that are to be empty; those under a mask are as far away as they are shown now.
        :param add: a coloured cloud in the world; normals and radii are found where it has none.
        :raises NotSeededError: the world has no view yet.
        :raises InvalidEditError: nothing is remembered in these places and nothing is to be added, a region or the
            cloud is none, or this kind of memory cannot be edited.
        """
        with _out_of_memory_named():
            return edit_version(self._version, remove, add)

    def glimpse(self, target: Target) -> Projection:
        """Return what memory alone shows at a pose: milliseconds, holes allowed, nothing changes."""
        with _out_of_memory_named():
            return self.memory.project(target)

    def glimpse_in_tiles(self, target: Target) -> Steps[None, None, Projection]:
        """Return what :meth:`glimpse` does; yields between tiles of a large picture, where nothing may change."""
        with _out_of_memory_named():
            return (yield from project_in_tiles(self.memory, target))

    def imagine(self, paths: Sequence[Sequence[Target]], **options: Any) -> list[ImaginedPath]:
        """Return what would be seen along each of several candidate paths; arguments of :meth:`imagine_views`."""
        return as_paths(len(paths), self.imagine_views(paths, **options))

    def imagine_views(
        self,
        paths: Sequence[Sequence[Target]],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        two_seeds: bool = True,
        together: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Iterator[ImaginedView]:
        """Yield what would be seen along several candidate paths, which know nothing of each other.

        The world stays as it is, bit by bit. Each path is drawn as :meth:`explore` would with ``commit=False``, with
        the same seed, up to rounding: paths are drawn as one batch where the generator can.

        :param prompt: text for generators that use one.
        :param seed: of every path; equal seeds and equal worlds give equal views.
        :param two_seeds: draw every path a second time, with another seed, and say how much both draws disagree;
            for a generator that ignores seeds it is done without.
        :param together: chunks of views that are drawn as one batch at most; ``None``: those of all paths.
        :param on_progress: called between steps; memory does not change while it runs, so it may glimpse.
        :param should_stop: asked between steps; once true, the batch in work is dropped.
        :raises InvalidPoseError: there are no paths, or one has no poses.
        :raises NotSeededError: the world has no view yet.
        :raises ModelError: a prompt for a generator that uses none.
        :raises CancelledError: ``should_stop`` returned true.
        """
        self._check_run(prompt)
        with _out_of_memory_named():
            yield from imagine_views(
                self._version,
                self._how(),
                paths,
                chunk=self.chunk,
                prompt=prompt,
                seed=seed,
                two_seeds=two_seeds,
                together=together,
                on_progress=on_progress,
                should_stop=should_stop,
            )

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
        self._check_run(prompt)
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

    def save(self, path: Path | str, *, overwrite: bool = False, make_folder: bool = False) -> int:
        """Write the world to a file, atomically, and return its size in bytes.

        :param make_folder: make the folders above it.
        :raises WorldFileError: see :func:`vmem_ros.world_file.write_world`.
        """
        memory = self.memory
        tensors, metadata = memory.state()
        about = {
            "scale": self.scale,
            "kind": memory.kind,
            "options": dict(memory.options),
            "encodings": self._encodings() or self._loaded_encodings,
            "memory": metadata,
        }
        return write_world(Path(path), tensors, about, overwrite=overwrite, make_folder=make_folder)

    def load(self, path: Path | str) -> tuple[str, ...]:
        """Replace the world by a saved one; on any error the present world stays.

        Latents and embeddings of other networks than those of the generator are left out, and made anew.

        :returns: in words, what users should know of it; usually nothing.
        :raises WorldFileError: see :func:`vmem_ros.world_file.read_world`; or another kind of memory wrote it.
        """
        kind = self.memory.kind
        with _out_of_memory_named():
            tensors, metadata = read_world(
                Path(path), check=lambda found, shapes: _check_header(found, shapes, kind, path)
            )
            scale, memory = _checked(metadata, kind, path)
            own, theirs = self._encodings(), str(metadata.get("encodings", ""))
            kept = without_encodings(tensors) if own and own != theirs else tensors
            self._version.restore(kept, memory)
        self._scale, self._loaded_encodings = scale, theirs
        if len(kept) == len(tensors):
            return ()
        return ("its latents are of another autoencoder than the model's, and are made anew from the pictures",)

    def _encodings(self) -> str:
        return self.generator.encodings() if isinstance(self.generator, HasEncodings) else ""

    def _without(self, mask: Tensor, view: View) -> View:
        """Return an observed view whose pixels under a mask show what the memory shows there, or the colours around."""
        if not bool(view.image[mask].any()):
            return view  # the black corners that rectification leaves
        image = filled(view.image, mask)
        if len(self):
            camera = view.camera.without_skew()
            shown = self.memory.project(Target(camera, view.T_world_camera))
            seen, own = (each.to(image.device) for each in (shown.seen, shown.image))
            image = torch.where((mask & seen)[..., None], own, image)
        return view.having(image=image, latent=None, embedding=None)

    def _geometry(self, view: View) -> tuple[list[PointMap], bool]:
        """Return the geometry of an observed view, and whether it is metric by itself."""
        measured = view.depth is not None and count_depth(view.depth).known > 0
        if measured or not self.estimator.uses_image:
            return self._sensor.estimate([view]), True
        if len(self):
            recall = self._how().draft(self._version, [view.target]).recall
        else:
            recall = Recall((), torch.empty(0, dtype=torch.float64), (), (self.memory.project(view.target),))
        maps = self.estimator.estimate([view], recall)
        if not bool(torch.isfinite(maps[0].depth).any()):
            raise InvalidImageError(
                f"the view has no depth, and the estimator {self.estimator.name!r} finds none where nothing is "
                "remembered: give z-depth in metres, or use an estimator of metric depth"
            )
        return maps, self.estimator.metric

    def _check_run(self, prompt: str | None) -> None:
        """Raise what :meth:`explore_chunks` raises before any work."""
        if not len(self):
            raise NotSeededError("the world has no view yet: seed it with an image, its camera, pose and depth")
        if prompt and "prompt" not in self.generator.uses:
            raise ModelError(
                f"the generator {self.generator.name!r} uses no prompt: leave it out, or use another engine"
            )

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
        how = self._how()
        draft = how.draft(self._version, targets)
        views: list[View] = []
        if (request := draft.request(seed)) is not None:
            views = self.generator.generate(
                request.recall,
                request.targets,
                prompt=prompt,
                seed=request.seed,
                on_step=on_step,
                should_stop=should_stop,
            )
            views, maps = how.located(request, how.composited(request, views))
            self._version.write(views, maps, label=label)
        return how.frames(draft, views)

    def _how(self) -> Step:
        return Step(self.generator, self.estimator, self.k, self.composite, self.reuse_views)


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


def _check_header(
    metadata: Mapping[str, Any], shapes: Mapping[str, Sequence[int]], kind: str, path: Path | str
) -> None:
    """Raise :class:`WorldFileError` for a world file that can be refused before its tensors are read."""
    memory = _checked(metadata, kind, path)[1]
    if kind in MEMORIES:  # of others the package does not know what they keep
        check_shapes(shapes, memory)


@contextlib.contextmanager
def _out_of_memory_named() -> Iterator[None]:
    """Turn the out-of-memory error of any library into ours, after giving a device's cached blocks back."""
    try:
        yield
    except Exception as error:
        if isinstance(error, VmemError) or not is_out_of_memory(error):
            raise
        torch.cuda.empty_cache()
        raise MemoryFullError(
            f"out of memory ({str(error) or type(error).__name__}); the world is unchanged: lower the image size or "
            "the chunk, or bound the memory with memory.max_views"
        ) from error


def default_world(
    generator: Generator | None = None,
    *,
    device: torch.device | str = "cpu",
    memory: Memory | None = None,
    estimator: PointMapEstimator | None = None,
    reuse_views: bool = True,
    sensor: SensorDepthOptions | None = None,
) -> World:
    """Return a world with what stands in the package where nothing is named.

    :param generator: by default reprojection, which runs with nothing else installed.
    :param device: of the default memory.
    :param memory: by default an empty one of the default kind.
    :param estimator: by default memory's own depth; a world cannot begin with a view without depth then.
    :param sensor: see :class:`World`.
    """
    generator = ReprojectionGenerator() if generator is None else generator
    memory = load_memory(device=device) if memory is None else memory
    return World(memory, generator, estimator or MemoryDepth(), reuse_views=reuse_views, sensor=sensor)
