"""``vmem bench`` over ROS 2: a quick run of message packing and of latencies between real processes."""

import json
from pathlib import Path

import pytest
import torch
from vmem_ros.msg import Status  # noqa: F401  (the messages must be built)

from vmem_ros.cli import main


@pytest.mark.ros
@pytest.mark.timeout(300)
def test_quick_run(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    threads = torch.get_num_threads()
    try:
        assert main(["bench", "packing", "dds", "--quick", "--threads", "1", "--json", str(file)]) == 0
    finally:
        torch.set_num_threads(threads)
    benchmarks = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    packing, publishing = benchmarks["packing"]["tables"]
    assert [row["MB"] for row in packing["rows"]] == [pytest.approx(mb, rel=0.01) for mb in (0.995, 1.327, 9.6)]
    assert all(row["array.array"]["median_ms"] > 0 for row in packing["rows"])
    assert [row["publish"]["repeats"] for row in publishing["rows"]] == [2, 2, 2]
    links, camera = benchmarks["dds"]["tables"]
    assert [row["received"] for row in links["rows"]] == ["5 of 5"]
    assert len(camera["rows"]) == 4
    assert all(row["latency"]["repeats"] == 2 and row["latency"]["median_ms"] > 0 for row in camera["rows"])
