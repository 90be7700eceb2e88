"""``vmem bench`` over ROS 2: quick runs of message packing, latencies between real processes, answers under load."""

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
        assert main(["bench", "packing", "dds", "load", "--quick", "--threads", "1", "--json", str(file)]) == 0
    finally:
        torch.set_num_threads(threads)
    benchmarks = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    packing, publishing = benchmarks["packing"]["tables"]
    assert [row["MB"] for row in packing["rows"]] == [pytest.approx(mb, rel=0.01) for mb in (0.995, 1.327, 0.96)]
    for row in packing["rows"]:
        assert (row["array.array"]["repeats"], row["NumPy"]["repeats"]) == (2, 2)
        assert row["ratio"] == pytest.approx(row["NumPy"]["median_ms"] / row["array.array"]["median_ms"])
    assert [row["publish"]["repeats"] for row in publishing["rows"]] == [2, 2, 2]
    links, camera = benchmarks["dds"]["tables"]
    (link,) = links["rows"]
    assert link["received"] in [f"{received} of 5" for received in range(1, 6)], "best effort promises no more"
    assert [row["from the client's process"].partition(":")[0] for row in camera["rows"]] == [
        *("render service", "render service"),
        *("pose published until preview received", "capture"),
    ]
    assert all(row["latency"]["repeats"] == 2 for row in camera["rows"])
    (answers,) = benchmarks["load"]["tables"]
    assert [(row["meanwhile"], row["call"]) for row in answers["rows"]] == [
        (what, call) for what in ("nothing", "path", "goal") for call in ("pause", "cancel")
    ]
    assert all(row["answer"]["median_ms"] <= row["longest"] for row in answers["rows"])
