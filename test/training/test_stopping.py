"""Ctrl-C and SIGTERM."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from training_runs import AUTOENCODER, changed, run, same, weights
from vmem_ros.training.checkpoints import Checkpoints
from vmem_ros.training.log import read_log
from vmem_ros.training.tasks.autoencoder import AutoencoderTask


@pytest.fixture(scope="module")
def uninterrupted(cache, tmp_path_factory):
    """Folder of a training of four steps."""
    out = tmp_path_factory.mktemp("uninterrupted")
    run(AUTOENCODER, out, cache)
    return out


def test_ctrl_c_saves_before_it_ends(cache, tmp_path, monkeypatch, uninterrupted):
    out = tmp_path / "out"
    interrupt = signal.SIGINT
    # The signal arrives while the second step is taken.
    original = AutoencoderTask.loss

    def loss(self, network, first, count, generator):
        if first == count:
            signal.raise_signal(interrupt)
        return original(self, network, first, count, generator)

    monkeypatch.setattr(AutoencoderTask, "loss", loss)
    before = signal.getsignal(interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(AUTOENCODER, out, cache, reporting={"checkpoint_every": 1000})
    assert signal.getsignal(interrupt) is before
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-0000002"]
    monkeypatch.undo()
    run(AUTOENCODER, out, cache, reporting={"checkpoint_every": 1000})
    assert same(weights(out / "model"), weights(uninterrupted / "model"))


def test_a_second_ctrl_c_ends_it_at_once(cache, tmp_path, monkeypatch):
    def waits(self, network, first, count, generator):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second signal must not come back")

    monkeypatch.setattr(AutoencoderTask, "loss", waits)
    with pytest.raises(KeyboardInterrupt):
        run(AUTOENCODER, tmp_path, cache)


@pytest.mark.slow
def test_one_of_two_processes_is_told_to_stop_and_both_save(cache, tmp_path):
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    long = changed(AUTOENCODER, optimisation={"steps": 100_000}, reporting={"checkpoint_every": 1_000_000})
    recipe.write_text(yaml.safe_dump(long))
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python"]
    train = [sys.executable, "-m", "vmem_ros.cli", "train", "autoencoder", str(recipe), "--out", str(out)]
    command = [*launch, *train, "--cache", str(cache), "--device", "cpu", "--threads", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 120
        while time.monotonic() < end and len(read_log(out / "log.jsonl")) < 5:
            time.sleep(0.1)
        workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(workers) == 2
        os.kill(int(workers[-1]), signal.SIGTERM)
        assert process.wait(60) != 0
    finally:
        process.kill()
    assert Checkpoints(out / "checkpoints", keep=2).newest is not None
