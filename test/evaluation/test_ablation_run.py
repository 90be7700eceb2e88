"""Every method in one house."""

import math

import pytest
import torch


def images(result, method):
    return torch.stack([answer.view.image for answer in result.answers[method]["out and back"]])


@pytest.mark.slow
def test_methods_differ_only_once_there_is_something_to_remember(result):
    names = ("retrieved views", "nearest poses", "most recent views", "first view")
    chunks = [images(result, name) for name in names]
    # The first chunk has the given view alone, whatever the rule, and the same noise.
    for other in chunks[1:]:
        assert torch.equal(chunks[0][:4], other[:4])
    assert not torch.equal(chunks[2][4:], chunks[3][4:])


def test_baselines_answer_what_they_say(result):
    start = result.paths[1].start.image
    assert bool((images(result, "copy the nearest view") == start).all())
    assert result.scores["copy the nearest view"].loop["psnr_db"] == math.inf
    # Memory knows its given view; the network of random weights draws noise.
    truth = {name: scores.truth["psnr_db"] for name, scores in result.scores.items()}
    assert result.scores["reprojection"].loop["psnr_db"] > 25
    assert truth["reprojection"] > truth["retrieved views"]
    assert truth["retrieved views + projection, composited"] > truth["retrieved views + projection"]


def test_depth_and_what_was_remembered_are_judged_too(result):
    scores = result.scores["reprojection"]
    assert 0 < scores.truth["depth_abs_rel"] < 0.5
    assert scores.truth["psnr_remembered_db"] > scores.truth["psnr_unseen_db"] + 3
    assert math.isnan(result.scores["copy the nearest view"].truth["psnr_remembered_db"])
