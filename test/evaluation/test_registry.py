"""One more metric: named once, found in every protocol, table and file."""

import json

import pytest

from vmem_ros.cli import main
from vmem_ros.errors import ModelError
from vmem_ros.evaluation.ablation_methods import METHODS
from vmem_ros.evaluation.ablation_report import FIGURES, AblationReport
from vmem_ros.evaluation.ablation_run import AblationConfig, evaluate_house
from vmem_ros.evaluation.registry import METRICS, PSNR, Metric, load_metric, register
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.scenes import EVALUATION_SEEDS

BRIGHTNESS = Metric(
    name="brightness_error",
    title="brightness error",
    unit="levels",
    better="lower",
    digits=1,
    compute=lambda pair: abs(float(pair.view.image.float().mean() - pair.reference.image.float().mean())),
)
UNSEEN_SHARE = Metric(
    name="unseen_share",
    title="unseen",
    better="lower",
    digits=2,
    compute=lambda pair: float(pair.unseen.float().mean()),
    needs=frozenset({"truth", "unseen"}),
)


@pytest.fixture(autouse=True)
def _metrics_as_before(monkeypatch):
    before = dict(METRICS)
    yield
    METRICS.clear()
    METRICS.update(before)


@pytest.mark.slow
def test_a_metric_that_is_registered_is_in_all_tables_and_files(tmp_path):
    register(BRIGHTNESS, UNSEEN_SHARE)
    methods = [m for m in METHODS if m.engine != "judged"]
    config = AblationConfig(poses=2, loop=2, size=32)
    report = AblationReport(tmp_path, {}, rival=methods[1].name)
    report.add(
        evaluate_house(EVALUATION_SEEDS[0], methods, ReprojectionGenerator(), MemoryDepth(), load_memory(), config)
    )
    report.write()

    figures = json.loads((tmp_path / FIGURES).read_text())["houses"][str(EVALUATION_SEEDS[0])]["methods"]
    for scores in figures.values():
        for protocol in ("back", "loop", "truth", "unseen"):
            assert "brightness_error" in scores[protocol]
        assert 0 <= scores["truth"]["unseen_share"] <= 1
        # It needs the truth, and twins are not that.
        assert "unseen_share" not in scores["back"]
    tables = {table.title: table for table in report.report.tables}
    assert {"way back brightness error levels", "loop brightness error levels"} < set(
        tables["Does it agree with itself?"].rows[0]
    )
    for title in ("Does it agree with the truth?", "Does it agree with the truth where little was seen?"):
        assert {"brightness error levels", "unseen"} < set(tables[title].rows[0])
    assert "| way back brightness error levels ↓ |" in tables["What does each part add?"].markdown()
    # Which way is better, and how many digits it is worth.
    text = (tmp_path / "report.md").read_text()
    assert "brightness error levels ↓" in text
    assert "PSNR dB ↑" in text
    copied = figures["copy the nearest view"]["truth"]["brightness_error"]
    [row] = [r for r in tables["Does it agree with the truth?"].rows if r["method"] == "copy the nearest view"]
    assert row["brightness error levels"] == f"{copied:.1f}"


@pytest.mark.slow
def test_the_command_takes_a_metric_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "own_metric.py").write_text(
        "from vmem_ros.evaluation.registry import Metric\n"
        "MINE = Metric(name='mine', title='mine', better='higher', digits=0, compute=lambda pair: 7.0)\n"
        "OTHER = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    sizes = ["--houses", "1", "--poses", "2", "--loop", "2", "--size", "32", "--threads", "1"]
    command = ["evaluate", "--engine", "reprojection", *sizes, "--out", str(tmp_path / "out")]
    assert main([*command, "--metric", "own_metric:MINE"]) == 0
    assert "| mine ↑ |" in (tmp_path / "out" / "report.md").read_text()
    with pytest.raises(ModelError, match="own_metric:OTHER' is a int"):
        load_metric("own_metric:OTHER")
    with pytest.raises(ModelError, match="cannot be imported"):
        load_metric("own_metric:MISSING")


def test_a_name_that_is_taken_is_refused():
    before = dict(METRICS)
    for name, title in (("psnr_db", "another"), ("another", "PSNR")):
        with pytest.raises(ValueError, match="needs a name and a title of its own"):
            register(Metric(name=name, title=title, unit="dB", better="higher", digits=1, compute=PSNR.compute))
    assert before == METRICS


def test_values_are_written_with_their_unit():
    assert PSNR.text(23.456) == "23.5 dB"
    assert PSNR.text(float("inf")) == "identical"
    assert METRICS["ssim"].text(0.81234) == "0.812"
