"""How a long path is cut into rounds: clips that the network draws at once, each going on from the one before.

A video autoencoder makes one latent frame of the first picture and one of every ``stride`` that follow, so clips have
stride * k + 1 frames. A round begins with frames that are known: the last ones of the round before, or one picture.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vmem_ros.errors import ModelError


def latent_frames(frames: int, stride: int) -> int:
    """Return how many latent frames a clip has."""
    return (frames - 1) // stride + 1


def whole_clip(frames: int, stride: int) -> int:
    """Return the length of the shortest clip that has this many frames."""
    return -(-(frames - 1) // stride) * stride + 1


@dataclass(frozen=True)
class RoundSettings:
    """Lengths in frames; the defaults are those of Spatia's published code.

    :param first: of a clip that goes on from a single picture.
    :param later: of a clip that goes on from the end of another.
    :param history: frames that a later clip repeats.
    :param stride: frames of a latent frame.
    :param full: a clip is as long as it may be even where the path ends earlier, as in the published code; otherwise it
        is no longer than it must.
    :raises ModelError: lengths that are no clips, or leave nothing to draw.
    """

    first: int = 121
    later: int = 81
    history: int = 9
    stride: int = 4
    full: bool = False

    def __post_init__(self) -> None:
        if self.stride < 1:
            raise ModelError(f"stride must be at least 1, got {self.stride}")
        for name in ("first", "later", "history"):
            frames = getattr(self, name)
            if frames < 1 or whole_clip(frames, self.stride) != frames:
                raise ModelError(f"{name} must be {self.stride} k + 1 frames, got {frames}")
        if self.first < max(2, self.history) or self.later <= self.history:
            raise ModelError(
                f"a first round of {self.first} frames must have 2 or more, and at least the {self.history} that later "
                f"ones repeat; later ones of {self.later} must have more"
            )

    @classmethod
    def of(cls, fields: Mapping[str, Any] | None, *, stride: int) -> RoundSettings:
        """Return the lengths of a pipeline folder; those left out are as published.

        :raises ModelError: a field that does not exist, or lengths that are no clips.
        """
        allowed = [field.name for field in dataclasses.fields(cls) if field.name != "stride"]
        if unknown := sorted(set(fields or {}) - set(allowed)):
            raise ModelError(f"rounds have no field {unknown[0]}: allowed are {', '.join(allowed)}")
        return cls(**(fields or {}), stride=stride)

    @property
    def new_frames(self) -> int:
        """How many frames a later round adds."""
        return self.later - self.history


@dataclass(frozen=True)
class Round:
    """Frames ``start`` to ``end - 1`` of a path, the first ``history`` of which are known.

    :param frames: length of the clip, at least ``end - start``: its last frame is repeated to fill it up.
    """

    start: int
    end: int
    history: int
    frames: int

    @property
    def padding(self) -> int:
        """Frames that are drawn and dropped."""
        return self.frames - (self.end - self.start)


def plan_rounds(frames: int, settings: RoundSettings, known: int = 1) -> list[Round]:
    """Return the rounds of a path of ``frames`` poses, of which the first ``known`` have their pictures.

    :raises ModelError: nothing is known or nothing is left to draw.
    """
    if not 1 <= known < frames:
        raise ModelError(f"of {frames} frames at least one must be known and one not, got {known} known")
    rounds: list[Round] = []
    # Networks know the start from one picture and from the whole history, and nothing between.
    history, end = settings.history if known >= settings.history else 1, known
    start = known - history
    while end < frames:
        length = settings.first if history < settings.history else settings.later
        end = min(start + length, frames)
        clip = length if settings.full else whole_clip(end - start, settings.stride)
        rounds.append(Round(start, end, history, clip))
        history = settings.history
        start = end - history
    return rounds
