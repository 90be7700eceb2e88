"""Spatia's published files become a pipeline folder: ``vmem convert --control``."""

import json

import pytest
import torch
from safetensors.torch import save_file

from vmem_ros.cli import main
from vmem_ros.generation.engines import load_generator
from wan_networks import published_config, published_network, published_states
from wan_pipelines import tiny_text, tiny_video_vae


@pytest.fixture(scope="module")
def sources(reference_dir, tmp_path_factory):
    """A folder with what a user has: main/, control.safetensors, config.json and base/."""
    folder = tmp_path_factory.mktemp("sources")
    main_state, control = published_states(reference_dir)
    (folder / "main").mkdir()
    save_file(main_state, folder / "main" / "model.safetensors")
    save_file(control, folder / "control.safetensors")
    config = published_config(reference_dir)
    (folder / "config.json").write_text(json.dumps(config))
    text = tiny_text(width=config["text_dim"])
    tiny_video_vae(channels=config["in_channels"]).save_pretrained(folder / "base" / "vae")
    text["text_encoder"].save_pretrained(folder / "base" / "text_encoder")
    text["tokenizer"].save_pretrained(folder / "base" / "tokenizer")
    return folder


def convert(sources, out, *more: str) -> int:
    parts = [
        "--control",
        sources / "control.safetensors",
        "--base",
        sources / "base",
        "--config",
        sources / "config.json",
    ]
    return main(["convert", str(sources / "main"), str(out), *map(str, parts), *more])


def test_the_folder_is_a_model_of_the_engine(sources, reference_dir, tmp_path, capsys):
    assert convert(sources, tmp_path / "out") == 0
    said = capsys.readouterr().out
    generator = load_generator("spatia", model=tmp_path / "out")
    state, expected = generator.pipeline.transformer.state_dict(), published_network(reference_dir).state_dict()
    assert all(torch.equal(state[name], value) for name, value in expected.items())
    assert generator.uses >= {"projection", "prompt"}
    assert generator.frames == 72
    terms = (tmp_path / "out" / "NOTICE").read_text()
    assert "Apache-2.0" in terms
    assert terms in said
    assert f"engine:=spatia device:=cuda model:={tmp_path / 'out'}" in said


def test_type_of_the_stored_parameters(sources, tmp_path):
    assert convert(sources, tmp_path / "out", "--dtype", "bfloat16") == 0
    pipeline = load_generator("spatia", model=tmp_path / "out", dtype="bfloat16").pipeline
    assert pipeline.transformer.dtype == pipeline.text_encoder.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["{}/main", "out", "--control", "{}/control.safetensors"], "--base must be given, too"),
        (["{}/main", "out", "--base", "{}/base"], "--vae and --image-encoder must be given, too"),
        (
            ["{}/main", "out", "--control", "{}/control.safetensors", "--base", "{}/base", "--vae", "v"],
            "--vae has no place in a model of spatia",
        ),
        (["{}/main", "out", "--control", "{}/control.safetensors", "--base", "{}/base"], "main_state"),
        (
            ["{}/main", "out", "--control", "{}/gone", "--base", "{}/base", "--config", "{}/config.json"],
            "there are no weights at",
        ),
        (
            ["{}/main", "out", "--control", "{}/control.safetensors", "--base", "{}", "--config", "{}/config.json"],
            "cannot be loaded|no folder",
        ),
    ],
)
def test_errors_name_the_cause_and_leave_nothing(arguments, complaint, sources, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *(argument.format(sources) for argument in arguments)]) == 1
    error = capsys.readouterr().err
    assert "vmem convert: ModelError: " in error
    assert any(part in error for part in complaint.split("|"))
    assert not list(tmp_path.iterdir())
