"""``vmem soak``: a short one of the real node, and what it says of what should not be."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from vmem_ros.msg import Status  # noqa: F401  (the messages must be built)

from vmem_ros.cli import main
from vmem_ros.nodes.soak.actions import ACTIONS
from vmem_ros.nodes.soak.process_figures import ProcessFigures, figures_of
from vmem_ros.nodes.soak.record import Sample, SoakRecord

CALL = {"at_s": 1.0, "call": "capture", "seconds": 0.5, "code": "NONE", "unexpected": ""}


def record_of(*, threads_at_the_end: int = 20, rss_mb_at_the_end: float = 510.0) -> SoakRecord:
    """A soak of 100 s without a fault but those asked for."""
    record = SoakRecord(100.0, 0, "reprojection")
    for second in range(101):
        late = second > 70
        rss_mb = 500.0 + (rss_mb_at_the_end - 500.0) * second / 100
        figures = ProcessFigures(rss_mb, 30, threads_at_the_end if late else 20)
        record.samples.append(Sample(float(second), figures, 0.01 if second % 7 else float("nan")))
    record.calls = [CALL, {**CALL, "code": "QUEUE_FULL"}]
    return record


@pytest.mark.ros
@pytest.mark.timeout(300)
def test_a_short_soak(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page, folder = tmp_path / "soak.md", tmp_path / "soak"
    code = main(["soak", "--minutes", "0.1", "--out", str(folder), "--markdown", str(page)])
    assert code == 0, capfd.readouterr().out
    text = page.read_text()
    assert "Nothing unexpected happened." in text
    for row in ("resident memory, MB", "descriptors", "threads", "answer, ms"):
        assert f"| {row} |" in text
    calls = [json.loads(line) for path in sorted(folder.glob("calls_*.jsonl")) for line in path.open()]
    assert len({call["call"] for call in calls}) >= 4
    assert {call["call"] for call in calls} <= set(ACTIONS)
    # Every process is gone: none has a file of this soak in its command or as its log.
    left = [p for p in Path("/proc").glob("[0-9]*/cmdline") if str(folder).encode() in _content(p)]
    assert left == []


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


class TestRecord:
    def test_nothing_unexpected(self) -> None:
        record = record_of()
        record.judge()
        assert record.unexpected == []
        held, calls = record.tables()
        assert held.rows[0]["slope an hour"] == pytest.approx(360)
        assert calls.rows[0]["ended with"] == "1 NONE, 1 QUEUE_FULL"
        assert record.markdown().endswith("Nothing unexpected happened.\n")

    def test_growth(self) -> None:
        for record, text in (
            (record_of(threads_at_the_end=40), "threads grew from 20 to 40"),
            (record_of(rss_mb_at_the_end=900.0), "resident memory, MB grew from 620 to 860"),
        ):
            record.judge()
            assert record.unexpected == [text]

    def test_calls_that_end_as_they_should_not(self, tmp_path: Path) -> None:
        record = record_of()
        path = tmp_path / "calls.jsonl"
        rows = [
            CALL,
            {**CALL, "code": "MODEL_ERROR", "unexpected": "boom"},
            {**CALL, "code": "MODEL_ERROR", "unexpected": "2"},
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        record.take_calls(path)
        record.judge()
        assert record.unexpected == ["2 x 'capture' ended with MODEL_ERROR; the first: boom"]
        assert "Unexpected:\n\n- 2 x 'capture'" in record.markdown()

    def test_figures_of_this_process(self) -> None:
        before = figures_of(os.getpid())
        with open(os.devnull):
            during = figures_of(os.getpid())
        assert during.descriptors == before.descriptors + 1
        assert before.threads >= 1
        assert 10 < before.rss_mb < 100_000


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_no_time(minutes: str) -> None:
    assert main(["soak", "--minutes", minutes]) == 1
