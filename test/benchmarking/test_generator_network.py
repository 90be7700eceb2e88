"""The parts of a denoising step that are compared are what their names say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vmem_ros.benchmarking.generator_models import FULL, SMALL, TINY
from vmem_ros.benchmarking.generator_network import (
    SAVINGS,
    decode_all,
    decode_new,
    difference,
    prepared,
    times_faster,
    unoptimised,
)
from vmem_ros.benchmarking.generator_workload import Workload, count
from vmem_ros.benchmarking.timing import Timing


@pytest.fixture(scope="module")
def workload():
    return Workload.of(TINY, device="cpu", dtype=torch.float64)


@pytest.fixture(scope="module")
def meta():
    return Workload.of(TINY, device="meta", dtype=torch.float32)


@pytest.mark.parametrize("saving", SAVINGS, ids=lambda saving: saving.name)
def test_exact_savings_change_nothing_but_rounding(workload, saving):
    without, saved = saving.without(workload), saving.saved(workload)
    assert without.shape == saved.shape
    assert difference(saved, without) < 1e-12


@pytest.mark.slow
def test_savings_save_operations(meta):
    flops = {saving.name: [count(meta, w).total for w in (saving.without, saving.saved)] for saving in SAVINGS}
    for name, (without, saved) in flops.items():
        # How attention to few keys is computed changes the time on a GPU, not the operations.
        assert saved == without if "short sequences" in name else saved < without, name
    without, saved = flops["outside the guidance interval: one half"]
    assert saved == pytest.approx(without / 2, rel=0.01)
    without, saved = flops["decoding new frames alone"]
    assert saved / without == pytest.approx(TINY.targets / TINY.frames)
    assert count(meta, decode_all).total == without
    # Those that are worked out once add up to what the network does without in a step.
    once = sum(without - saved for name, (without, saved) in flops.items() if name.endswith(", once"))
    assert count(meta, unoptimised).total - count(meta, prepared).total == once


def test_the_network_sees_everything(workload):
    """Random weights must not hide a saving that changes something."""
    noise = prepared(workload)
    assert 0.01 < float(noise.std()) < 100
    told = workload.conditioning
    others = [
        replace(workload, noisy=-workload.noisy),
        *(
            replace(workload, conditioning=replace(told, **{name: -getattr(told, name)}))
            for name in ("plucker", "context")
        ),
    ]
    for other in others:
        assert difference(prepared(other), noise) > 0.01


def test_other_layouts_and_types_are_the_same_network(workload):
    last = workload.channels_last()
    assert last.unet.middle_block[0].in_layers[2].weight.is_contiguous(memory_format=torch.channels_last)
    assert difference(prepared(last), prepared(workload)) < 1e-12
    short = Workload.of(TINY, device="cpu", dtype=torch.bfloat16)
    precise = short.more_precise()
    assert precise.unet.dtype == torch.float32
    assert 1e-4 < difference(prepared(short), prepared(precise)) < 0.2


@pytest.mark.slow
def test_sizes_are_those_of_the_published_and_of_a_small_model():
    shapes = [(size.side, size.latent_side, size.references, size.targets) for size in (FULL, SMALL)]
    assert shapes == [(576, 72, 4, 4), (128, 16, 4, 4)]
    meta = Workload.of(FULL, device="meta", dtype=torch.float32)
    assert sum(p.numel() for p in meta.unet.parameters()) == 1_263_968_004
    # The counts of the published sizes: 26.3 TFLOP for both halves, 3.19 for decoding a frame.
    assert count(meta, unoptimised).total == pytest.approx(26.2e12, rel=0.01)
    assert count(meta, decode_new).total / 4 == pytest.approx(3.194e12, rel=0.02)


def test_ratios_are_within_turns():
    assert times_faster(Timing((1.0, 9.0, 4.0)), Timing((0.5, 3.0, 1.0))) == pytest.approx(3)
