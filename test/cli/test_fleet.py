"""``vmem fleet bench``: what it measures, what it writes, what it refuses."""

import json

import pytest

from small_worlds import save_small_world
from vmem_ros.cli import main

BENCH = ["fleet", "bench", "--engine", "reprojection", "--width", "48"]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.xdist_group("ray")
def test_rates_and_the_loss_of_a_node(tmp_path, capsys):
    save_small_world(tmp_path / "room.world")
    command = [*BENCH, "--world", str(tmp_path / "room.world"), "--folder", str(tmp_path), "--lose-node"]
    command += ["--worlds", "1", "--requests", "4", "--json", str(tmp_path / "fleet.json")]
    assert main(command) == 0
    found = json.loads((tmp_path / "fleet.json").read_text())["tables"]
    alone, fleet, calm, lossy = found["Many worlds"]
    assert [row["worlds"] for row in (alone, fleet, calm, lossy)] == [1, 1, 1, 1]
    assert [row["views"] for row in (alone, fleet, calm, lossy)] == [4, 4, 4, 4]
    assert all(row["views a second"] > 0 for row in (alone, fleet, calm, lossy))
    # Half of them take the median at least; how much longer the longest takes is the machine's.
    assert alone["views a second"] <= 1.01 * 2 * 1000 / alone["median ms"]
    (loss,) = found["A node lost half-way"]
    assert (loss["asked"], loss["answered"]) == (4, 4)
    assert (loss["largest difference of a pixel"], loss["of depth, m"]) == (0, 0)
    printed = capsys.readouterr().out
    assert "| gymnasium.make, this process | 1 | 4 |" in printed
    # Checkpoints of what was measured are gone.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fleet.json", "room.world"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--worlds", "0"], "--worlds must be at least 1"),
        (["--requests", "0"], "--requests must be at least 1"),
        (["--threads", "0"], "--threads must be at least 1"),
        (["--lose-node", "--ray", "auto"], "leave --ray out"),
        (["--engine", "nothing"], "'nothing' is unknown"),
    ],
)
def test_what_it_refuses(options, message, capsys):
    assert main([*BENCH, *options]) == 1
    assert message in capsys.readouterr().err
