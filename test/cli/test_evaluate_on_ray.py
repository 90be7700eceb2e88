"""``vmem evaluate --ray``: the figures are those of one process."""

import json

import pytest

from vmem_ros.cli import main
from vmem_ros.evaluation.ablation_report import FIGURES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("ray")]
SIZES = ["--engine", "reprojection", "--houses", "2", "--poses", "1", "--loop", "2", "--size", "24", "--threads", "1"]


def houses(out):
    """All figures but how long it took."""
    found = json.loads((out / FIGURES).read_text())["houses"]
    for house in found.values():
        for scores in house["methods"].values():
            del scores["seconds_per_view"]
    return found


def test_the_figures_are_those_of_one_process(tmp_path):
    assert main(["evaluate", *SIZES, "--out", str(tmp_path / "one")]) == 0
    assert main(["evaluate", *SIZES, "--out", str(tmp_path / "ray"), "--ray", "local"]) == 0
    assert houses(tmp_path / "ray") == houses(tmp_path / "one")
    assert len(houses(tmp_path / "one")) == 2


def test_no_cluster_there(tmp_path, capsys):
    assert main(["evaluate", *SIZES, "--out", str(tmp_path), "--ray", "127.0.0.1:1"]) == 1
    assert "no Ray cluster at '127.0.0.1:1'" in capsys.readouterr().err
