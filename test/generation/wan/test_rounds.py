"""Rounds of a path against those of the published functions."""

import json

import pytest

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan.rounds import RoundSettings, latent_frames, plan_rounds


@pytest.mark.parametrize("frames", [81, 121, 122, 193, 194, 265, 400])
def test_rounds_of_spatia(reference_dir, frames):
    published = json.loads((reference_dir / "others" / "spatia_rounds.json").read_text())
    lengths = published["settings"]
    settings = RoundSettings(
        first=lengths["first_round_frames"], later=lengths["round_frames"], history=lengths["hist_frames"], full=True
    )
    assert settings == RoundSettings(full=True)
    plan = published["plans"][str(frames)]
    rounds = plan_rounds(frames, settings)
    names = ("start", "end", "target_frames", "padding", "target_latents")
    found = [(r.start, r.end, r.frames, r.padding, latent_frames(r.frames, 4)) for r in rounds]
    assert found == [tuple(expected[name] for name in names) for expected in plan["rounds"]]
    # The picture that a first round begins with is no history there.
    history = [0 if r.history == 1 else r.history for r in rounds]
    assert history == [expected["history_frames"] for expected in plan["rounds"]]
    repeated = [0 if h == 0 else latent_frames(h, 4) for h in history]
    assert repeated == [expected["history_latents"] for expected in plan["rounds"]]
    decoded = sum(latent_frames(r.frames, 4) for r in rounds) - sum(repeated)
    assert decoded == plan["decoded_latents"]


def test_rounds_of_mirage(reference_dir):
    published = json.loads((reference_dir / "others" / "mirage_rollout.json").read_text())["iteration_plan"]
    settings = RoundSettings(first=33, later=33, history=1)
    for frames, expected in published.items():
        rounds = plan_rounds(int(frames), settings)
        found = [[r.start + (r.history if i else 0), r.end, r.frames] for i, r in enumerate(rounds)]
        assert found == expected


def test_rounds_that_are_no_longer_than_they_must():
    rounds = plan_rounds(12, RoundSettings(first=9, later=9, history=5))
    assert [(r.start, r.end, r.history, r.frames, r.padding) for r in rounds] == [(0, 9, 1, 9, 0), (4, 12, 5, 9, 1)]


@pytest.mark.parametrize(("known", "start", "history"), [(1, 0, 1), (3, 2, 1), (5, 0, 5), (7, 2, 5)])
def test_a_path_whose_beginning_is_known(known, start, history):
    first, *_ = plan_rounds(40, RoundSettings(first=9, later=9, history=5), known)
    assert (first.start, first.history, first.end) == (start, history, start + 9)


def test_frames_of_their_own():
    """An autoencoder of single pictures has a latent frame for each."""
    rounds = plan_rounds(10, RoundSettings(first=4, later=4, history=2, stride=1))
    assert [(r.start, r.end, r.frames) for r in rounds] == [(0, 4, 4), (2, 6, 4), (4, 8, 4), (6, 10, 4)]


@pytest.mark.parametrize(
    "lengths",
    [
        {"first": 120},
        {"later": 80},
        {"history": 8},
        {"stride": 0},
        {"later": 9},
        {"first": 1, "history": 1},
        {"first": 5},
    ],
)
def test_lengths_that_are_none(lengths):
    with pytest.raises(ModelError):
        RoundSettings(**lengths)


@pytest.mark.parametrize("known", [0, 5, 6])
def test_nothing_known_or_nothing_to_draw(known):
    with pytest.raises(ModelError, match="one must be known"):
        plan_rounds(5, RoundSettings(), known)
