"""Figures at one frame: what is compared where, and with what."""

from __future__ import annotations

import math

import pytest
import torch

from vmem_ros.evaluation.recorded_scores import RecordedAnswer, RecordedScores, Shown, Whole, score_frame
from vmem_ros.geometry import Camera
from vmem_ros.types import Projection, View

CAMERA = Camera.from_fov(48, 32, 70)
POSE = torch.eye(4, dtype=torch.float64)
LEFT = torch.arange(48).expand(32, 48) < 24
TOP = torch.arange(32)[:, None].expand(32, 48) < 16


def picture(seed: int = 0) -> torch.Tensor:
    return torch.randint(40, 200, (32, 48, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def truth() -> View:
    return View(picture(), CAMERA, POSE, torch.full((32, 48), 2.0))


def shown(seen: torch.Tensor, image: torch.Tensor, depth_m: float = 2.0) -> Projection:
    return Projection(
        image * seen[..., None],
        torch.where(seen, depth_m, torch.nan),
        seen,
        torch.full((32, 48), -1),
        seen.float(),
    )


def test_methods_are_compared_where_all_of_them_show_something() -> None:
    brighter = picture() + 10
    # The right half of the first is wrong, but the second does not show it.
    wrong = torch.where(LEFT[..., None], brighter, 255 - picture())
    everything = torch.ones(32, 48, dtype=torch.bool)
    scores = score_frame(
        {
            "all": RecordedAnswer(shown(everything, wrong, 2.1), wrong),
            "left": RecordedAnswer(shown(LEFT, brighter), brighter),
            "copy": RecordedAnswer(None, brighter),
        },
        truth(),
    )
    ten = 20 * math.log10(255 / 10)
    assert [each.share for each in scores.values()] == pytest.approx([1.0, 0.5, math.nan], nan_ok=True)
    assert [each.shown["psnr_db"] for each in scores.values()] == pytest.approx([ten] * 3)
    assert [each.whole["psnr_db"] > 25 for each in scores.values()] == [False, True, True]
    # A gain and an offset make up for what is brighter everywhere.
    assert [each.shown["psnr_corrected_db"] for each in scores.values()] == [math.inf] * 3
    assert scores["all"].shown["depth_median_rel"] == pytest.approx(0.05)
    assert scores["left"].shown["depth_median_rel"] == 0
    assert math.isnan(scores["copy"].shown["depth_median_rel"])
    # What is black beyond the mask is no matter of what is within.
    assert scores["all"].shown["ssim"] == pytest.approx(scores["left"].shown["ssim"])


def test_pixels_that_the_camera_did_not_see_do_not_count() -> None:
    spoilt = torch.where(TOP[..., None], 255 - picture(), picture() + 10)
    answers = {"one": RecordedAnswer(shown(LEFT, spoilt), spoilt)}
    (one,) = score_frame(answers, truth(), unseen=TOP).values()
    assert one.share == pytest.approx(0.5)
    assert one.shown["psnr_db"] == one.whole["psnr_db"] == pytest.approx(20 * math.log10(255 / 10))


def test_next_to_nothing_in_common_says_nothing_of_what_is_shown() -> None:
    few = torch.zeros(32, 48, dtype=torch.bool)
    few[0, :20] = True
    (one,) = score_frame({"one": RecordedAnswer(shown(few, picture()), picture())}, truth()).values()
    assert all(math.isnan(value) for value in one.shown.values())
    assert one.whole["psnr_db"] == math.inf
    assert one.share == pytest.approx(20 / (32 * 48))


def test_means_are_over_frames_where_a_figure_is_known() -> None:
    def scores(share: float, shown_db: float, whole_db: float) -> RecordedScores:
        nan = float("nan")
        of_shown = dict.fromkeys((m.name for m in Shown.metrics()), nan) | {"psnr_db": shown_db}
        of_whole = dict.fromkeys((m.name for m in Whole.metrics()), nan) | {"psnr_db": whole_db}
        return RecordedScores(share, Shown(of_shown), Whole(of_whole))

    mean = RecordedScores.mean([scores(0.5, 10.0, 20.0), scores(0.7, math.nan, 22.0)])
    assert mean.share == pytest.approx(0.6)
    assert (mean.shown["psnr_db"], mean.whole["psnr_db"]) == (10.0, 21.0)
    record = mean.record()
    assert record["shown_psnr_db"] == 10.0
    assert record["whole_psnr_db"] == 21.0
    assert math.isnan(record["whole_ssim"])
