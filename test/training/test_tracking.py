"""Experiment trackers get what the log gets."""

import sys

import pytest

from training_runs import AUTOENCODER, log
from vmem_ros.errors import MissingPackageError
from vmem_ros.training import tracking
from vmem_ros.training.recipes import as_recipe
from vmem_ros.training.start import train

event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")


def events(folder):
    """Return the events of all TensorBoard files in a folder: records of length, checksum, bytes and checksum."""
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            length = int.from_bytes(content[at : at + 8], "little")
            yield event_pb2.Event.FromString(content[at + 12 : at + 12 + length])
            at += 16 + length


def scalars(folder):
    """Return (step, name, value) of everything that was tracked."""
    values = ((event.step, value) for event in events(folder) for value in event.summary.value)
    return {(step, value.tag, value.simple_value) for step, value in values if value.HasField("simple_value")}


def test_tensorboard_gets_the_figures_of_the_log_and_the_recipe(cache, tmp_path):
    options = {"cache": cache, "device": "cpu", "threads": 1, "tracker": "tensorboard"}
    train(as_recipe(AUTOENCODER), tmp_path, **options)
    tracked = scalars(tmp_path / "tensorboard")
    lines = [(entry["step"], name, value) for entry in log(tmp_path) for name, value in entry.items() if name != "step"]
    assert {(step, name) for step, name, _ in tracked} == {(step, name) for step, name, _ in lines}
    assert len(lines) > 20
    values = {(step, name): value for step, name, value in tracked}
    assert all(values[step, name] == pytest.approx(value, rel=1e-6) for step, name, value in lines)
    (recipe,) = (tmp_path / "tensorboard").rglob("hparams.yml")
    assert "optimisation.lr: 0.002" in recipe.read_text()


def test_a_tracker_that_is_not_installed_is_named_before_anything_is_made(cache, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingPackageError, match=r"--tracker wandb needs .* not installed: pip install wandb"):
        train(as_recipe(AUTOENCODER), tmp_path / "out", cache=cache, device="cpu", tracker="wandb")
    assert not (tmp_path / "out").exists()


def test_nothing_is_tracked_unless_asked(cache, tmp_path):
    train(as_recipe(AUTOENCODER), tmp_path, cache=cache, device="cpu", threads=1)
    assert not (tmp_path / "tensorboard").exists()


def test_sections_become_names_with_dots_and_lists_text():
    flat = tracking._flat(as_recipe(AUTOENCODER).model_dump(mode="json"))
    assert flat["optimisation.steps"] == 4
    assert flat["data.size"] == "[32, 32]"
    assert all(isinstance(value, (bool, int, float, str)) for value in flat.values())
