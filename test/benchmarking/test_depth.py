"""``vmem bench depth``: walks whose truth is known, short enough for a test. No figure of a machine is judged."""

import json

import numpy as np
import pytest
from PIL import Image

from vmem_ros.benchmarking import depth, depth_drift
from vmem_ros.benchmarking.depth_drift import DisturbedTruth, WalkErrors, walk
from vmem_ros.benchmarking.result import Settings
from vmem_ros.cli import main
from vmem_ros.errors import ModelError
from vmem_ros.pointmaps.depth_network import DepthNetwork
from vmem_ros.scenes import EVALUATION_SEEDS, House

VIEWS, SIDE = 6, 32


@pytest.fixture(scope="module")
def house():
    return House(EVALUATION_SEEDS[0])


class TestWalks:
    def test_alignment_holds_the_scale_that_a_predictor_loses(self, house):
        aligned, alone = (
            walk(house, DisturbedTruth, views=VIEWS, side=SIDE, aligned=a, measured_start=True) for a in (True, False)
        )
        assert len(aligned.relative) == len(aligned.walked_m) == VIEWS + 1
        # The first view is measured, and the walk goes somewhere.
        assert aligned.relative[0] == alone.relative[0] == 0
        assert (np.diff(aligned.walked_m) > 0).all()
        assert np.abs(aligned.log_scale).max() < 0.1
        assert np.median(aligned.relative) < 0.08
        assert np.abs(alone.log_scale).max() > 0.25

    def test_a_perfect_predictor_makes_no_errors(self, house):
        def exact(of):
            return DisturbedTruth(of, drift=0.0, noise=1e-6, outliers=0.0)

        found = walk(house, exact, views=4, side=SIDE, aligned=False, measured_start=False)
        assert found.relative.max() < 1e-4

    def test_drift_is_between_the_ends(self):
        log_scale = np.concatenate([np.zeros(10), np.linspace(0, 0.3, 80), np.full(10, 0.3)])
        assert WalkErrors(np.zeros(100), np.zeros(100), log_scale).drift == pytest.approx(0.3)


def test_the_command_leaves_tables_and_a_plot(house, tmp_path, monkeypatch, capsys):
    # Its light takes longer than all the rest.
    for module in (depth, depth_drift):
        monkeypatch.setattr(module, "House", lambda seed: house, raising=False)
    network = DepthNetwork(widths=[8, 16], blocks=[1, 1], attention_blocks=1, head_width=8)
    network.save_pretrained(tmp_path / "network")
    arguments = ["--json", str(tmp_path / "bench.json"), "--plots", str(tmp_path)]
    command = ["bench", "depth", "--quick", "--threads", "1", "--depth-model", str(tmp_path / "network"), *arguments]
    assert main(command) == 0
    tables = json.loads((tmp_path / "bench.json").read_text())["benchmarks"]["depth"]["tables"]
    assert [len(table["rows"]) for table in tables] == [2, 2, 1]
    disturbed = {row["depth"]: row for row in tables[1]["rows"]}
    assert disturbed["disturbed truth, aligned"]["error %"] < disturbed["disturbed truth, as predicted"]["error %"]
    assert "budget 10.0 %" in capsys.readouterr().out
    with Image.open(tmp_path / "depth.png") as picture:
        assert min(picture.size) > 300


def test_a_depth_model_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="nowhere"):
        depth.run(Settings(effort="quick", depth_model=str(tmp_path / "nowhere")))
