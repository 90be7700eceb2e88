"""The loop of a training: it learns, it goes on where it was, and it loses nothing."""

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from accelerate import Accelerator

from training_runs import AUTOENCODER, DATA, changed, log, run, same, weights
from vmem_ros.errors import CheckpointError, ModelError, TrainingDataError
from vmem_ros.training.checkpoints import Checkpoints
from vmem_ros.training.data.house_walks import ViewWalkFactory
from vmem_ros.training.data.walk_caches import OpenWalkCache
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.log import read_log
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes import as_recipe
from vmem_ros.training.recipes.data import Data
from vmem_ros.training.tasks.autoencoder import AutoencoderTask


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("training_cache")


@pytest.fixture(scope="module")
def uninterrupted(cache, tmp_path_factory):
    """Folder of a training of four steps."""
    out = tmp_path_factory.mktemp("uninterrupted")
    run(AUTOENCODER, out, cache)
    return out


@pytest.mark.parametrize(
    ("kind", "left", "config"),
    [
        # It begins with the best linear transform.
        ("PatchAutoencoder", 0.97, {"patch": 4, "latent_channels": 4, "widths": [16, 16], "blocks": [1, 1]}),
        (
            "AutoencoderKL",
            0.85,
            {
                "block_out_channels": [8, 8],
                "down_block_types": ["DownEncoderBlock2D"] * 2,
                "up_block_types": ["UpDecoderBlock2D"] * 2,
                "norm_num_groups": 4,
                "latent_channels": 4,
            },
        ),
    ],
)
def test_the_loss_of_a_few_images_goes_down(cache, tmp_path, kind, left, config):
    how = {"steps": 60, "batch": 2, "lr": 0.01, "ema_decay": 0.0}
    fields = changed(AUTOENCODER, kind=kind, latent_noise=0.0, optimisation=how, reporting={"sample_every": 1000})
    recipe = as_recipe({**fields, "config": config})
    accelerator = Accelerator(cpu=True)
    task = AutoencoderTask(recipe, cache=cache, accelerator=accelerator)

    def loss():
        with torch.no_grad():
            return float(task.loss(task.network, 0, 8, torch.Generator().manual_seed(0))[0])

    before = loss()
    TrainingLoop(recipe, task, tmp_path, accelerator=accelerator).run()
    assert loss() < left * before


def test_a_training_leaves_a_log_a_plot_a_sheet_and_checkpoints(uninterrupted):
    entries = log(uninterrupted)
    assert [entry["step"] for entry in entries if "loss" in entry] == [1, 2, 3, 4]
    assert all(entry["lr"] > 0 and entry["steps_per_s"] > 0 for entry in entries if "loss" in entry)
    assert any(entry.get("sample_psnr_dB", 0) > 5 for entry in entries)
    assert (uninterrupted / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (uninterrupted / "samples" / "step-0000004.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (uninterrupted / "checkpoints").iterdir()) == ["step-0000002", "step-0000004"]


def test_going_on_gives_the_weights_of_an_uninterrupted_training(uninterrupted, cache, tmp_path, capsys):
    run(AUTOENCODER, tmp_path, cache, optimisation={"steps": 2})
    assert not same(weights(tmp_path / "model"), weights(uninterrupted / "model"))
    run(AUTOENCODER, tmp_path, cache)
    assert "going on from step 2" in capsys.readouterr().out
    assert same(weights(tmp_path / "model"), weights(uninterrupted / "model"))
    assert [entry["step"] for entry in log(tmp_path) if "loss" in entry] == [1, 2, 3, 4]


def test_a_training_killed_at_any_time_goes_on(cache, tmp_path, uninterrupted):
    recipe = tmp_path / "recipe.yaml"
    # Steps take milliseconds: with so many, it is killed in the middle of some step or checkpoint.
    long = changed(AUTOENCODER, optimisation={"steps": 100_000})
    recipe.write_text(yaml.safe_dump(long))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "vmem_ros.cli", "train", "autoencoder", recipe, "--out", out, "--cache", cache]
    process = subprocess.Popen([*command, "--threads", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoints = Checkpoints(out / "checkpoints", keep=2)
    while checkpoints.newest is None and process.poll() is None:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert checkpoints.newest is not None, "it ended before its first checkpoint"
    step = int(checkpoints.newest.name.removeprefix("step-"))
    expected, going_on = tmp_path / "expected", tmp_path / "out"
    for folder in (expected, going_on):
        run(AUTOENCODER, folder, cache, optimisation={"steps": step + 3})
    assert same(weights(expected / "model"), weights(going_on / "model"))


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


def test_a_full_disk_ends_the_training_and_the_last_checkpoint_stays(uninterrupted, cache, tmp_path):
    run(AUTOENCODER, tmp_path, cache, optimisation={"steps": 2})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The log fits, a checkpoint does not.
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"cannot write .*step-0000004.*step-0000002, is unchanged"):
            run(AUTOENCODER, tmp_path, cache, reporting={"sample_every": 10_000}, optimisation={"steps": 5})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-0000002"]
    run(AUTOENCODER, tmp_path, cache)
    assert same(weights(tmp_path / "model"), weights(uninterrupted / "model"))


def test_another_recipe_does_not_go_on(cache, tmp_path):
    run(AUTOENCODER, tmp_path, cache, optimisation={"steps": 2})
    with pytest.raises(CheckpointError, match=r"another recipe \(edges was 1\.0, now 2\.0\): choose another --out"):
        run(AUTOENCODER, tmp_path, cache, edges=2.0)


def test_a_damaged_checkpoint_is_named(cache, tmp_path):
    run(AUTOENCODER, tmp_path, cache, optimisation={"steps": 2})
    state = tmp_path / "checkpoints" / "step-0000002" / "state.pt"
    state.write_bytes(state.read_bytes()[:500])
    with pytest.raises(CheckpointError, match=r"step-0000002 cannot be read.*go on from the one before"):
        run(AUTOENCODER, tmp_path, cache)


def test_a_checkpoint_is_not_unpickled_with_more_than_tensors(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("code of a checkpoint ran",))

    folder = Checkpoints(tmp_path, keep=1).save(1, {"parameters": []}, {})
    torch.save(Evil(), folder / "state.pt")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Checkpoints(tmp_path, keep=1).load(folder)


def test_a_loss_that_is_not_finite_ends_the_training(cache, tmp_path):
    with pytest.raises(ModelError, match=r"the loss is (nan|inf) at step \d+: lower optimisation\.lr"):
        run(AUTOENCODER, tmp_path, cache, optimisation={"lr": 1e30, "warmup_steps": 0, "steps": 50})


def test_the_learning_rate_rises_and_falls(cache, tmp_path):
    how = {"steps": 10, "warmup_steps": 4, "schedule": "cosine", "final_lr": 0.1, "lr": 0.001}
    run(AUTOENCODER, tmp_path, cache, optimisation=how, reporting={"checkpoint_every": 1000})
    rates = [entry["lr"] for entry in log(tmp_path) if "lr" in entry]
    assert max(rates) == max(rates[2:5])
    assert rates[0] < rates[1] < rates[2]
    assert rates[-1] == pytest.approx(1e-4, rel=1e-3)


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


def test_a_second_ctrl_c_ends_it_at_once(cache, tmp_path, monkeypatch):
    def waits(self, network, first, count, generator):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the second signal must not come back")

    monkeypatch.setattr(AutoencoderTask, "loss", waits)
    with pytest.raises(KeyboardInterrupt):
        run(AUTOENCODER, tmp_path, cache)


def test_half_precision_on_a_processor_is_named(cache, tmp_path):
    with pytest.raises(ModelError, match="processors do not compute in fp16"):
        run(AUTOENCODER, tmp_path, cache, optimisation={"precision": "fp16"})


def test_a_walk_that_was_cut_short_is_made_again(tmp_path):
    data = Data(**DATA)
    walks = WalkStream(OpenWalkCache(tmp_path, data), data)
    path = walks.open(0, sample=0)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert walks.open(0, sample=0).read_bytes() == whole


def test_workers_make_no_walks_that_the_training_has_left(tmp_path):
    data = Data(**DATA | {"workers": 1, "window": 2, "samples_per_walk": 1})
    walks = WalkStream(OpenWalkCache(tmp_path, data), data)
    try:
        walks.get(0, sample=0)
        # A training that goes on asks for the first samples, and then for those of where it was.
        before = time.monotonic()
        walks.get(3001, sample=3000)
        assert walks._passed[0] > 3000
    finally:
        walks.close()
    made = len(list(walks.folder.glob("[0-9]*.safetensors")))
    assert made < 200, f"{made} walks in {time.monotonic() - before:.0f} s"


def test_walks_are_made_by_other_processes(tmp_path):
    data = Data(**DATA | {"workers": 1})
    walks = WalkStream(OpenWalkCache(tmp_path, data), data)
    try:
        made = walks.get(1, sample=0)
        assert (walks.folder / "0000000.safetensors").exists(), "the worker begins with the first"
    finally:
        walks.close()
    expected = ViewWalkFactory(data).make(1)
    assert all(torch.equal(tensor, expected.tensors()[name]) for name, tensor in made.tensors().items())


def test_what_ends_a_worker_ends_the_training(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    data = Data(**DATA | {"workers": 1})
    walks = WalkStream(OpenWalkCache(blocked, data), data)
    with pytest.raises(TrainingDataError, match=r"cannot keep training data in .*file"):
        walks.get(0, sample=0)
