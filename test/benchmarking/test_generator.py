"""``vmem bench generator``, quickly."""

from __future__ import annotations

import json

import pytest
import torch

from vmem_ros.benchmarking.generator_network import (
    MATRIX_PRODUCTS,
    SAVINGS,
)
from vmem_ros.cli import main


@pytest.mark.slow
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
    assert [row["sampler"] for row in chunks][0::2] == ["published 3, unoptimised", "fast 3, guidance interval"]
    assert [row["sampler"] for row in steps] == ["fast 2"]
    # What the design asks is about the published size.
    assert found["budgets"] == []
    printed = capsys.readouterr().out
    assert all(f"## {table['title']}" in printed for table in found["tables"])
    assert all(row["change x 1e-6"] is not None for row in [*network[:-1], *savings]), "not a number"
