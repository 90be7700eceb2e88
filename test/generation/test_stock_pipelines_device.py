"""Engines that run pipelines of diffusers draw on a GPU what they draw on a CPU, with and without offloaded parts."""

import pytest
import torch

from generator_contract import TARGETS, recall_of
from holes import left_third_missing
from stock_pipelines import tiny_klein, tiny_vace
from vmem_ros.generation.engines import load_generator

pytestmark = pytest.mark.gpu
MAKE = {"inpaint": tiny_klein, "wan-vace": tiny_vace}


@pytest.mark.parametrize("engine", MAKE)
@pytest.mark.parametrize("offload", ["none", "model", "sequential"])
def test_pictures_are_the_same(engine, offload, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    MAKE[engine]().save_pretrained(tmp_path / "model")
    options = {"model": tmp_path / "model", "dtype": "float32", "min_side": 64, "max_side": 64}
    options["sampling"] = {"num_inference_steps": 2}
    recall = left_third_missing(recall_of(TARGETS[:2]))
    expected, drawn = (
        load_generator(engine, **options, **more).generate(recall, TARGETS[:2], seed=1)
        for more in ({}, {"device": "cuda", "offload": offload})
    )
    for one, other in zip(expected, drawn, strict=True):
        assert (one.image.int() - other.image.int()).abs().float().mean() < 1
