"""``vmem bench generator``: what it compares is what it says, and a quick run leaves it all. No time is judged here."""

import json
import time
from dataclasses import replace

import pytest
import torch

from vmem_ros.benchmarking.analytic_denoiser import AnalyticDenoiser
from vmem_ros.benchmarking.flops import count_flops
from vmem_ros.benchmarking.generator_chunk import INTERVAL, Chunk, Recipe
from vmem_ros.benchmarking.generator_device import MatrixProducts, kind_of, profile_call
from vmem_ros.benchmarking.generator_models import FULL, SMALL, TINY
from vmem_ros.benchmarking.generator_network import (
    MATRIX_PRODUCTS,
    SAVINGS,
    decode_all,
    decode_new,
    difference,
    prepared,
    times_faster,
    unoptimised,
)
from vmem_ros.benchmarking.generator_workload import Workload, count
from vmem_ros.benchmarking.report import BEGIN, END, Results, own_marks
from vmem_ros.benchmarking.result import BenchmarkResult, Figures
from vmem_ros.benchmarking.timing import Timing, measure_stepwise
from vmem_ros.cli import main


@pytest.fixture(scope="module")
def workload():
    return Workload.of(TINY, device="cpu", dtype=torch.float64)


@pytest.fixture(scope="module")
def meta():
    return Workload.of(TINY, device="meta", dtype=torch.float32)


# -- what is compared --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("saving", SAVINGS, ids=lambda saving: saving.name)
def test_exact_savings_change_nothing_but_rounding(workload, saving):
    without, saved = saving.without(workload), saving.saved(workload)
    assert without.shape == saved.shape
    assert difference(saved, without) < 1e-12


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


def test_sizes_are_those_of_the_published_and_of_a_small_model():
    shapes = [(size.side, size.latent_side, size.references, size.targets) for size in (FULL, SMALL)]
    assert shapes == [(576, 72, 4, 4), (128, 16, 4, 4)]
    meta = Workload.of(FULL, device="meta", dtype=torch.float32)
    assert sum(p.numel() for p in meta.unet.parameters()) == 1_263_968_004
    # The counts of the published sizes: 26.3 TFLOP for both halves, 3.19 for decoding a frame.
    assert count(meta, unoptimised).total == pytest.approx(26.2e12, rel=0.01)
    assert count(meta, decode_new).total / 4 == pytest.approx(3.194e12, rel=0.02)


# -- chunks ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("recipe", "halves"),
    [
        (Recipe("published", 6), 12),
        # Every third step after the first two: 0, 1, 4.
        (Recipe("published", 6, cached=True), 6),
        (Recipe("fast", 8, interval=INTERVAL), 12),
    ],
)
def test_passes_through_the_network(workload, recipe, halves):
    chunk = Chunk(workload, None, recipe)
    for _ in range(2):
        *estimates, images = chunk.draw(recipe.steps)
        assert len(estimates) == recipe.steps
        assert chunk.halves == halves
        assert images.shape == (TINY.targets, 3, TINY.side, TINY.side)
        assert bool(images.isfinite().all())


def test_unoptimised_draws_the_same(workload):
    slow, fast = (list(Chunk(workload, None, Recipe("fast", 3, unoptimised=u)).draw(3)) for u in (True, False))
    # Between steps latents are float32.
    assert all(difference(a, b) < 1e-4 for a, b in zip(fast, slow, strict=True))


def test_errors_of_samplers_are_those_of_an_exact_denoiser():
    mixture = AnalyticDenoiser()
    published, fast, many = (mixture.error(*run) for run in (("published", 50), ("fast", 8), ("fast", 50)))
    assert many < 0.01 < fast < published < 0.1


# -- the device --------------------------------------------------------------------------------------------------------
def test_profile_finds_the_expensive_kind():
    x = torch.randn(300, 300)
    spent = profile_call("cpu", lambda: [x @ x for _ in range(5)] and torch.relu(x))
    assert next(iter(spent)) == "linear layers"
    assert spent["linear layers"].calls >= 5
    assert spent["linear layers"].largest == "aten::mm"


@pytest.mark.parametrize("flops", [10**6, 10**9])
def test_matrix_products_are_about_as_much_work_as_asked_for(flops):
    products = MatrixProducts("cpu", torch.float32, flops=flops)
    assert products.flops == pytest.approx(flops, rel=0.05)
    assert count_flops(products.run).total == products.flops


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::_scaled_dot_product_flash_attention_for_cpu", "attention"),
        ("void flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128>>", "attention"),
        ("sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc", "convolutions"),
        ("nvjet_tst_128x256_64x4_1x2_h_bz_coopA_NTN", "linear layers"),
        ("triton_poi_fused_convolution_native_group_norm_silu_3", "fused by the compiler"),
        ("triton_tem_fused_addmm_2", "linear layers"),
        ("void cudnn::engines_precompiled::nchwToNhwcKernel<float>", "copies"),
        ("aten::native_group_norm", "norms"),
        ("aten::gelu", "element-wise and other"),
    ],
)
def test_kinds_of_work(name, kind):
    assert kind_of(name) == kind


def test_ratios_are_within_turns():
    assert times_faster(Timing((1.0, 9.0, 4.0)), Timing((0.5, 3.0, 1.0))) == pytest.approx(3)


def test_long_works_take_turns_in_proportion(monkeypatch):
    now, order = 0.0, []
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def work(name, step_s, steps):
        nonlocal now
        for _ in range(steps):
            now += step_s
            order.append(name)
            yield

    works = [lambda: work("a", 0.5, 2), lambda: work("b", 2.0, 4)]
    short, long = measure_stepwise(works, [2, 4], repeats=2)
    assert "".join(order) == "abbabb" * 2
    assert (short.seconds, long.seconds) == ((1.0, 1.0), (8.0, 8.0))


# -- the command -------------------------------------------------------------------------------------------------------
def test_quick_run_leaves_every_table(tmp_path, capsys):
    threads, file = str(torch.get_num_threads()), tmp_path / "bench.json"
    assert main(["bench", "generator", "--quick", "--device", "cpu", "--threads", threads, "--json", str(file)]) == 0
    found = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]["generator"]
    network, savings, kinds, chunks, steps = (table["rows"] for table in found["tables"])
    assert network[0]["network"] == "unoptimised"
    assert network[-1]["network"] == MATRIX_PRODUCTS
    assert len(network) == 4 + 1, "a CPU has no compiled row"
    assert not any("peak" in column for column in network[0])
    assert len(savings) == len(SAVINGS)
    assert sum(row["fastest %"] for row in kinds) == pytest.approx(100)
    assert [row["passes"] for row in chunks] == [6, 4, 4]
    assert all(row["s per frame"] > 0 for row in [*chunks, *steps])
    # What the design asks is about the published size.
    assert found["budgets"] == []
    printed = capsys.readouterr().out
    assert all(f"## {table['title']}" in printed for table in found["tables"])
    assert all(row["change x 1e-6"] is not None for row in [*network[:-1], *savings]), "not a number"


def test_a_benchmark_with_marks_of_its_own_leaves_the_others_alone(tmp_path):
    file = tmp_path / "page.md"
    (begin, end), outcomes = own_marks("b"), {n: BenchmarkResult([Figures(f"New {n}", [{"n": 1}])]) for n in "ab"}
    old = f"top\n{BEGIN}\nold a\n{END}\nmiddle\n{begin}\nold b\n{end}\nbottom\n"
    file.write_text(old, encoding="utf-8")
    Results("vmem bench b", outcomes={"b": outcomes["b"]}, seconds={"b": 1.0}).write_markdown(file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"top\n{BEGIN}\nold a\n{END}\nmiddle\n{begin}\n")
    assert text.endswith(f"{end}\nbottom\n")
    assert text.count("## New b") == 1
    assert "old b" not in text
    Results("vmem bench --all", outcomes=outcomes, seconds=dict.fromkeys("ab", 1.0)).write_markdown(file)
    first, _, second = file.read_text(encoding="utf-8").partition("middle")
    assert "## New a" in first
    assert "## New b" not in first
    assert "## New b" in second
    assert "old" not in first + second


def test_marks_that_do_not_end_are_not_written_to(tmp_path):
    file = tmp_path / "page.md"
    file.write_text(f"{own_marks('b')[0]}\nmine\n", encoding="utf-8")
    with pytest.raises(ValueError, match="vmem bench b: end"):
        Results("x", outcomes={"b": BenchmarkResult([])}, seconds={"b": 1.0}).write_markdown(file)
    assert file.read_text(encoding="utf-8").endswith("mine\n")
