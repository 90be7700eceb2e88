"""Memories side by side, without any network: all observe the same frames and are asked at the same other poses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vmem_ros.evaluation.house_recording import HouseWalk, record_house
from vmem_ros.evaluation.recorded_run import AskedFrame, Split
from vmem_ros.evaluation.recorded_scores import RecordedAnswer, RecordedScores, score_frame
from vmem_ros.recordings import RecordedFrame, Recording
from vmem_ros.reporting.stopwatch import Stopwatch
from vmem_ros.world import World

OBSERVE, SHOW = "observe", "show"


@dataclass(frozen=True, eq=False)
class Place:
    """What is observed somewhere, and what is asked for.

    :param kind: places of one kind are judged together.
    :param asked: frames as a camera took them; nobody is shown these.
    """

    title: str
    kind: str
    observed: Sequence[RecordedFrame]
    asked: Sequence[RecordedFrame]


def recorded_place(recording: Recording, *, views: int | None = None) -> Place:
    """Return every other frame of a recording, and those between.

    :param views: see :meth:`.Split.of`.
    :raises RecordingError: there is only one frame.
    """
    split = Split.of(len(recording), views=views)
    observed, asked = ([recording[i] for i in numbers] for numbers in (split.observed, split.asked))
    return Place(recording.title, recording.title, observed, asked)


def exact(walk: HouseWalk) -> HouseWalk:
    """Return the same walk with a camera that errs in nothing."""
    return dataclasses.replace(
        walk, sensor="exact", translation_m=0.0, rotation_deg=0.0, exposure_ev=0.0, balance=0.0, noise=0.0, shutter=0.0
    )


def house_place(walk: HouseWalk, kind: str) -> Place:
    """Return every other frame of a walk through a house, and those between as a perfect camera would take them."""
    taken, true = list(record_house(walk)), list(record_house(exact(walk)))
    observed = [RecordedFrame(f"{i}", view) for i, view in enumerate(taken) if i % 2 == 0]
    asked = [RecordedFrame(f"{i}", view) for i, view in enumerate(true) if i % 2]
    return Place(f"house {walk.house}", kind, observed, asked)


@dataclass(eq=False)
class MemoryTrial:
    """One place, and a world with each memory.

    :param worlds: empty ones, by the name of the memory, all with the same generator.
    """

    place: Place
    worlds: Mapping[str, World]
    times: Mapping[str, Stopwatch] = field(init=False)
    scores: list[Mapping[str, RecordedScores]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.times = {name: Stopwatch() for name in self.worlds}

    def observe(self) -> Iterator[None]:
        """Observe the frames, one a step, in turns."""
        for frame in self.place.observed:
            for name, world in self.worlds.items():
                with self.times[name].time(OBSERVE):
                    world.observe(frame.view, mask=frame.mask)
            yield

    def ask(self) -> Iterator[AskedFrame]:
        """Yield what each memory answers at the other poses; what is shown is compared where all show something."""
        for number, frame in enumerate(self.place.asked):
            answers = {name: self._answer(name, world, frame) for name, world in self.worlds.items()}
            scores = score_frame(answers, frame.view, unseen=frame.mask)
            self.scores.append(scores)
            yield AskedFrame(number, frame.name, frame.view, answers, scores)

    def means(self) -> dict[str, RecordedScores]:
        """Return the means over the poses asked for, by memory."""
        return {name: RecordedScores.mean([scores[name] for scores in self.scores]) for name in self.worlds}

    def _answer(self, name: str, world: World, frame: RecordedFrame) -> RecordedAnswer:
        with self.times[name].time(SHOW):
            shown = world.glimpse(frame.view.target)
        (drawn,) = world.explore([frame.view.target], commit=False)
        return RecordedAnswer(shown, drawn.view.image)
