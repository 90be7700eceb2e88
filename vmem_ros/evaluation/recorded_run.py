"""Real cameras judge: every other frame of a recording is observed, the others are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from vmem_ros.errors import InvalidImageError, MissingPackageError, RecordingError
from vmem_ros.evaluation.nearest_view import nearest_pose
from vmem_ros.evaluation.recorded_scores import RecordedAnswer, RecordedScores, score_frame
from vmem_ros.evaluation.tsdf import TsdfVolume, usual_far_m, usual_voxel_m
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.pose_refinement import Refinement
from vmem_ros.protocols import Generator
from vmem_ros.recordings import Recording
from vmem_ros.reporting.stopwatch import Stopwatch
from vmem_ros.types import Projection, Recall, Target, View
from vmem_ros.world import World

NEAREST, TSDF = "copy the nearest frame", "TSDF, holes inpainted"

# Frames whose depth says how large voxels should be.
_SAMPLED = 8


def drawn_by(engine: str) -> str:
    """Return the name of the method that lets an engine draw what memory shows."""
    return f"memory, drawn by {engine}"


@dataclass(frozen=True)
class Split:
    """Which frames of a recording are observed and which are asked for, by their numbers."""

    observed: Sequence[int]
    asked: Sequence[int]

    @classmethod
    def of(cls, frames: int, *, views: int | None = None) -> Split:
        """Return every other one.

        :param views: asked for at most: frames are left out evenly. ``None``: none is left out.
        :raises RecordingError: there is only one frame.
        """
        if frames < 2:
            raise RecordingError("the recording has one frame: one is observed and one asked for, at least")
        chosen = range(0, frames, 1 if views is None else -(-frames // (2 * views)))
        return cls(chosen[0::2], chosen[1::2])


def volume_for(
    recording: Recording, split: Split, *, voxel_m: float | None = None, far_m: float | None = None
) -> TsdfVolume:
    """Return an empty volume for the frames of a recording.

    :param voxel_m: ``None``: see :func:`~vmem_ros.evaluation.tsdf.usual_voxel_m`.
    :param far_m: ``None``: see :func:`~vmem_ros.evaluation.tsdf.usual_far_m`.
    :raises InvalidImageError: the frames have no depth.
    :raises MissingPackageError: Open3D is not installed.
    """
    sampled = split.observed[:: -(-len(split.observed) // _SAMPLED)]
    depths = [depth for i in sampled if (depth := recording[i].view.depth) is not None]
    far_m = far_m or usual_far_m(depths)
    return TsdfVolume(voxel_m or usual_voxel_m(depths), far_m=far_m)


def volume_or_reason(
    recording: Recording, split: Split, *, voxel_m: float | None = None, far_m: float | None = None
) -> tuple[TsdfVolume | None, str]:
    """Return what :func:`volume_for` does, or ``None`` and why there is none."""
    try:
        return volume_for(recording, split, voxel_m=voxel_m, far_m=far_m), ""
    except (MissingPackageError, InvalidImageError) as error:
        return None, str(error)


@dataclass(frozen=True, eq=False)
class AskedFrame:
    """A frame that was asked for, with what methods answered.

    :param number: among the frames of the recording.
    """

    number: int
    name: str
    truth: View
    answers: Mapping[str, RecordedAnswer]
    scores: Mapping[str, RecordedScores]

    def shown_by(self, method: str) -> Tensor:
        """Return the picture [H, W, 3] of what a method that knows of holes shows, on the CPU."""
        shown = self.answers[method].shown
        assert shown is not None, f"{method} knows of holes"
        return shown.image.cpu()


def spread(frames: Sequence[AskedFrame], count: int) -> list[AskedFrame]:
    """Return some of the frames, at most ``count``: the middle of equal parts.

    The ends of a walk are its least typical poses.
    """
    return [frames[int((i + 0.5) * len(frames) / count)] for i in range(min(count, len(frames)))]


@dataclass(eq=False)
class RecordedRun:
    """One recording, its world and the methods beside it.

    Everybody observes the same frames, in turns, and is asked at the same poses, in turns.

    :param world: empty.
    :param engines: what draws what memory shows, by name.
    :param tsdf: an empty volume, or ``None``.
    :param refine: align the poses of observed frames to what memory shows; the TSDF takes them as they are.
    :param seed: of the engines' noise.
    """

    recording: Recording
    split: Split
    world: World
    engines: Mapping[str, Generator]
    tsdf: TsdfVolume | None = None
    refine: bool = False
    seed: int = 0
    times: Stopwatch = field(default_factory=Stopwatch)
    refinements: list[Refinement | None] = field(default_factory=list)

    def observe(self) -> Iterator[None]:
        """Observe the frames, one a step."""
        for number in self.split.observed:
            frame = self.recording[number]
            with self.times.time("memory: observe"):
                refinement = self.world.observe(frame.view, mask=frame.mask, refine=self.refine)
            self.refinements.append(refinement)
            if self.tsdf is not None:
                with self.times.time("TSDF: integrate"):
                    self.tsdf.integrate(frame.view)
            yield

    def ask(self) -> Iterator[AskedFrame]:
        """Yield what is answered at the frames that were not observed; the world stays as it is."""
        for number in self.split.asked:
            frame, target = self.recording[number], self.recording.targets[number]
            answers = self._answers(target)
            scores = score_frame(answers, frame.view, unseen=frame.mask)
            yield AskedFrame(number, frame.name, frame.view, answers, scores)

    def _answers(self, target: Target) -> dict[str, RecordedAnswer]:
        answers = {}
        with self.times.time("memory: show"):
            shown = self.world.glimpse(target)
        for name, engine in self.engines.items():
            self.world.generator = engine
            with self.times.time(f"memory: draw by {name}"):
                (frame,) = self.world.explore([target], seed=self.seed, commit=False)
            answers[drawn_by(name)] = RecordedAnswer(shown, frame.view.image)
        if self.tsdf is not None:
            self.tsdf.make_room(target)
            with self.times.time("TSDF: cast rays"):
                cast = self.tsdf.ray_cast(target)
            answers[TSDF] = RecordedAnswer(cast, _inpainted(cast, target))
        poses = [self.recording.targets[i].T_world_camera for i in self.split.observed]
        nearest = self.recording[self.split.observed[nearest_pose(target, poses)]]
        return answers | {NEAREST: RecordedAnswer(None, nearest.view.image)}


def _inpainted(projection: Projection, target: Target) -> Tensor:
    """Return a projection with its holes filled as engine ``reprojection`` fills those of memory."""
    recall = Recall((), projection.confidence.new_empty(0), (), (projection,))
    (view,) = ReprojectionGenerator().generate(recall, [target])
    return view.image
