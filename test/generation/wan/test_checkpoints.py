"""The network and the pipeline of published files."""

import json

import pytest
import torch
from safetensors.torch import save_file

from vmem_ros.errors import ModelError
from vmem_ros.generation.wan import SceneWanPipeline
from vmem_ros.generation.wan.checkpoints import transformer_from_original
from wan_networks import published_config, published_network, published_states
from wan_pipelines import tiny_text, tiny_video_vae


@pytest.fixture(scope="module")
def config(reference_dir):
    return published_config(reference_dir)


@pytest.fixture(scope="module")
def states(reference_dir):
    return published_states(reference_dir)


@pytest.fixture
def files(tmp_path, states):
    """Two shards of the video model with an index, and the scene branch."""
    main, control = states
    names = sorted(main)
    folder = tmp_path / "main"
    folder.mkdir()
    where = {}
    for shard, part in (("a.safetensors", names[::2]), ("b.safetensors", names[1::2])):
        save_file({name: main[name] for name in part}, folder / shard)
        where |= dict.fromkeys(part, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    save_file(control, tmp_path / "control.safetensors")
    return folder, tmp_path / "control.safetensors"


def same(found, expected):
    wanted = expected.state_dict()
    return all(torch.equal(value.float(), wanted[name]) for name, value in found.state_dict().items())


def test_sharded_files(files, config, reference_dir):
    network = transformer_from_original(*files, config=config)
    assert same(network, published_network(reference_dir))
    assert not network.training
    (files[0] / "model.safetensors.index.json").unlink()
    assert same(transformer_from_original(*files, config=config), published_network(reference_dir))


def test_one_file_under_names_of_diffusers(tmp_path, files, config, reference_dir):
    state = {n: v for n, v in published_network(reference_dir).state_dict().items() if not n.startswith("vace_")}
    save_file(state, tmp_path / "main.safetensors")
    network = transformer_from_original(tmp_path / "main.safetensors", files[1], config=config)
    assert same(network, published_network(reference_dir))


def test_half_precision_but_for_what_needs_more(files, config):
    network = transformer_from_original(*files, config=config, torch_dtype=torch.bfloat16)
    types = {name: value.dtype for name, value in network.state_dict().items()}
    assert types["blocks.0.attn1.to_q.weight"] == torch.bfloat16
    for exact in ("scale_shift_table", "blocks.1.norm2.weight", "condition_embedder.time_embedder.linear_1.weight"):
        assert types[exact] == torch.float32
    assert network.dtype == torch.bfloat16


def test_a_pipeline_of_published_files(tmp_path, files, config):
    text = tiny_text(width=config["text_dim"])
    base = tmp_path / "base"
    tiny_video_vae(channels=config["in_channels"]).save_pretrained(base / "vae")
    text["text_encoder"].save_pretrained(base / "text_encoder")
    text["tokenizer"].save_pretrained(base / "tokenizer")
    pipeline = SceneWanPipeline.from_original(*files, base=base, config=config)
    pipeline.set_progress_bar_config(disable=True)
    assert pipeline.config.prompt_suffix == " 4K, realistic, high quality, HDR."
    assert (pipeline.rounds.first, pipeline.rounds.later, pipeline.rounds.history) == (81, 81, 9)
    assert pipeline.rounds.full
    assert (pipeline.sampling_defaults.num_inference_steps, pipeline.sampling_defaults.guidance_scale) == (40, 3.5)
    picture = torch.zeros(32, 64, 3, dtype=torch.uint8)
    output = pipeline("a room", height=32, width=64, num_frames=5, history=[picture], num_inference_steps=1)
    assert output.frames.shape == (5, 3, 32, 64)
    (base / "tokenizer").rename(base / "words")
    with pytest.raises(ModelError, match="tokenizer cannot be loaded"):
        SceneWanPipeline.from_original(*files, base=base, config=config)


def test_files_that_are_not_there_or_none(tmp_path, files, config):
    with pytest.raises(ModelError, match="there are no weights at"):
        transformer_from_original(tmp_path / "nowhere", files[1], config=config)
    with pytest.raises(ModelError, match="there are no weights at"):
        transformer_from_original(files[0], tmp_path / "nowhere.safetensors", config=config)
    torch.save({}, tmp_path / "weights.pth")
    with pytest.raises(ModelError, match="there are no weights at"):
        transformer_from_original(tmp_path / "weights.pth", files[1], config=config)
    with pytest.raises(ModelError, match="main_state lacks"):
        transformer_from_original(files[0] / "a.safetensors", files[1], config=config)
    with pytest.raises(ModelError, match="control_state has"):
        transformer_from_original(files[0], files[0], config=config)


def test_a_truncated_file(files, config):
    shard = files[0] / "b.safetensors"
    shard.write_bytes(shard.read_bytes()[:-7])
    with pytest.raises(ModelError, match=r"b\.safetensors cannot be read"):
        transformer_from_original(*files, config=config)


def test_a_missing_shard(files, config):
    (files[0] / "b.safetensors").unlink()
    with pytest.raises(ModelError, match=r"b\.safetensors is missing"):
        transformer_from_original(*files, config=config)


@pytest.mark.parametrize("index", ["", "[]", '{"weight_map": {"a": "../control.safetensors"}}'])
def test_an_index_that_is_none_or_leads_elsewhere(files, config, index):
    (files[0] / "model.safetensors.index.json").write_text(index)
    with pytest.raises(ModelError, match=r"cannot be read|is missing"):
        transformer_from_original(*files, config=config)


def test_a_name_in_several_files(files, config, states):
    (files[0] / "model.safetensors.index.json").unlink()
    save_file(states[0], files[0] / "whole.safetensors")
    with pytest.raises(ModelError, match="in several files"):
        transformer_from_original(*files, config=config)
