"""The loop of a training: it learns, it goes on where it was, and it loses nothing."""

import resource
import subprocess
import sys
import time

import pytest
import torch
import yaml
from accelerate import Accelerator

from training_runs import AUTOENCODER, changed, log, run, same, weights
from vmem_ros.errors import CheckpointError, ModelError
from vmem_ros.training.checkpoints import Checkpoints
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes import as_recipe
from vmem_ros.training.tasks.autoencoder import AutoencoderTask


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


@pytest.mark.slow
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


def test_a_loss_that_is_not_finite_ends_the_training(cache, tmp_path):
    with pytest.raises(ModelError, match=r"the loss is (nan|inf) at step \d+: lower optimisation\.lr"):
        run(AUTOENCODER, tmp_path, cache, optimisation={"lr": 1e30, "warmup_steps": 0, "steps": 50})


def test_half_precision_on_a_processor_is_named(cache, tmp_path):
    with pytest.raises(ModelError, match="processors do not compute in fp16"):
        run(AUTOENCODER, tmp_path, cache, optimisation={"precision": "fp16"})
