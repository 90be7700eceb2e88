"""Published checkpoint files: read safely, used to the last parameter, or refused with what is wrong."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tiny_models import UNET, tiny_unet
from vmem_ros.errors import ModelError
from vmem_ros.generation import MultiviewUNet
from vmem_ros.generation.vmem.checkpoints import check_fit, load_original, unet_from_original


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    """Parameters of a small network under the names of the published file."""
    return {f"module.{name}": tensor for name, tensor in tiny_unet().state_dict().items()}


@pytest.fixture
def weights(published: dict[str, torch.Tensor], tmp_path: Path) -> Path:
    path = tmp_path / "vmem_weights.pth"
    torch.save(published, path)
    return path


def assert_equal(unet: MultiviewUNet, published: dict[str, torch.Tensor]) -> None:
    state = unet.state_dict()
    assert len(state) == len(published)
    assert all(torch.equal(state[name.removeprefix("module.")], tensor) for name, tensor in published.items())


def test_every_parameter_is_used_as_it_is(weights, published) -> None:
    sizes = []
    unet = unet_from_original(weights, config=UNET, on_bytes=sizes.append)
    assert_equal(unet, published)
    assert sum(sizes) == sum(tensor.nbytes for tensor in published.values())
    assert not unet.training
    assert not any(p.requires_grad for p in unet.parameters())


def test_type_is_converted(weights, published) -> None:
    unet = unet_from_original(weights, config=UNET, torch_dtype=torch.bfloat16)
    assert_equal(unet, {name: tensor.bfloat16() for name, tensor in published.items()})


def test_the_published_names_and_shapes_are_those_of_the_default_network(reference_dir) -> None:
    shapes = json.loads((reference_dir / "vmem_full_state_dict_shapes.json").read_text())["shapes"]
    with torch.device("meta"):
        expected = {name: p.shape for name, p in MultiviewUNet().state_dict().items()}
        check_fit({name: torch.empty(shape) for name, shape in shapes.items()}, expected, source="published")


def test_projection_channels_change_nothing_before_training(weights) -> None:
    plain = unet_from_original(weights, config=UNET)
    wider = unet_from_original(weights, config={**UNET, "projection_channels": 5})
    torch.manual_seed(1)
    sample, rays, context = torch.randn(2, 16, 4, 4), torch.randn(2, 6, 4, 4), torch.randn(2, 1, 48)
    time = torch.tensor([10, 10])
    with torch.no_grad():
        expected = plain(sample[:, :11], time, context, rays, 2).sample
        torch.testing.assert_close(wider(sample, time, context, rays, 2).sample, expected)


@pytest.mark.parametrize("how", ["bare", "state_dict", "compiled", "old format", "safetensors"])
def test_wrappers_and_formats(how, published, tmp_path) -> None:
    path = tmp_path / ("w.safetensors" if how == "safetensors" else "w.pth")
    bare = {name.removeprefix("module."): tensor for name, tensor in published.items()}
    if how == "safetensors":
        save_file(published, path)
    else:
        content = {
            "bare": bare,
            "state_dict": {"state_dict": published, "epoch": 3},
            "compiled": {"model": {f"module._orig_mod.{name}": tensor for name, tensor in bare.items()}},
            "old format": published,
        }[how]
        torch.save(content, path, _use_new_zipfile_serialization=how != "old format")
    assert_equal(unet_from_original(path, config=UNET), published)


def test_what_does_not_fit_is_named(published, tmp_path) -> None:
    state = dict(published)
    del state["module.out.2.weight"]
    state["module.second_head.bias"] = torch.zeros(3)
    state["module.input_blocks.0.0.weight"] = torch.zeros(32, 8, 3, 3)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ModelError) as error:
        unet_from_original(tmp_path / "other.pth", config=UNET)
    assert "1 missing (out.2.weight)" in str(error.value)
    assert "1 unexpected (second_head.bias)" in str(error.value)
    assert "1 of another shape (input_blocks.0.0.weight [32, 8, 3, 3] instead of [32, 11, 3, 3])" in str(error.value)


@pytest.mark.parametrize("config", [{"model_channels": 33}, {"colour": 1}, {"model_channels": "wide"}])
def test_a_configuration_that_makes_no_network_is_refused(config, weights) -> None:
    with pytest.raises(ModelError, match=r"33|colour|wide"):
        unet_from_original(weights, config={**UNET, **config})


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.9999])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_truncated_file_is_refused(suffix, share, published, tmp_path) -> None:
    path = tmp_path / f"w{suffix}"
    save_file(published, path) if suffix == ".safetensors" else torch.save(published, path)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(ModelError, match=r"truncated or damaged \([\d,]+ bytes; the published .* 5,056,346,672\)"):
        load_original(path)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no checkpoint that can be read safely"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:675dc4\nsize 5056346672\n", "no checkpoint"),
        ([torch.zeros(3)], "holds a list and no state dict"),
        ({}, "holds a dict and no state dict"),
        ({"a": torch.zeros(3), "step": 7}, r"holds more than weights \(step\)"),
        ({"indices": torch.arange(3)}, r"holds more than weights \(indices\)"),
        ({3: torch.zeros(3)}, r"holds more than weights \(3\)"),
    ],
)
def test_what_is_no_state_dict_is_refused(content, complaint, tmp_path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ModelError, match=complaint):
        load_original(path)


def test_a_missing_file_says_where_the_weights_are(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"no file .*gone\.pth: the published file is vmem_weights\.pth"):
        load_original(tmp_path / "gone.pth")
    with pytest.raises(ModelError, match="no file"):
        load_original(tmp_path)


class _Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_checkpoint_is_not_run(how, tmp_path) -> None:
    path, mark = tmp_path / "w.pth", tmp_path / "ran"
    content = {"module.out.2.weight": _Evil(mark)}
    torch.save(content, path) if how == "torch" else path.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(ModelError, match="no checkpoint that can be read safely"):
        load_original(path)
    assert not mark.exists()


def test_weights_that_do_not_fit_the_type_are_refused(published, tmp_path) -> None:
    state = {**published, "module.out.2.bias": torch.full((4,), 1e6)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(ModelError, match=r"out\.2\.bias in .* is not finite in torch\.float16"):
        unet_from_original(tmp_path / "w.pth", config=UNET, torch_dtype=torch.float16)
