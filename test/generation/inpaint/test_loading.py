"""Folders of pipelines for the engine inpaint: saved by diffusers, found by class, whole, or a named error."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from huggingface_hub import constants

from generator_contract import TARGETS, recall_of
from holes import left_third_missing
from stock_pipelines import tiny_klein, tiny_stable_diffusion, tiny_vace
from vmem_ros.errors import MemoryFullError, ModelError
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.inpaint.generator import InpaintGenerator
from vmem_ros.generation.inpaint.options import InpaintOptions
from vmem_ros.generation.stock.placing import place

OPTIONS = {"min_side": 64, "max_side": 128}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder as the Hub has it: of the pipeline for whole pictures, whose class for inpainting is to be found."""
    path = tmp_path_factory.mktemp("klein")
    tiny_klein().save_pretrained(path)
    as_class(path, "Flux2KleinPipeline")
    return path


@pytest.fixture
def klein():
    return tiny_klein()


@pytest.fixture
def copy(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def as_class(path: Path, name: str) -> None:
    index = json.loads((path / "model_index.json").read_text())
    (path / "model_index.json").write_text(json.dumps({**index, "_class_name": name}))


def load(path: object, **options: object):
    return load_generator("inpaint", model=path, **{**OPTIONS, **options})


def test_a_folder_draws_what_its_pipeline_draws(folder):
    recall = left_third_missing(recall_of(TARGETS[:1]))
    generator = load(folder)
    assert type(generator.pipeline).__name__ == "Flux2KleinInpaintPipeline"
    assert generator.pipeline.config.is_distilled
    expected = InpaintGenerator(tiny_klein(), options=InpaintOptions(**OPTIONS)).generate(recall, TARGETS[:1], seed=1)
    assert torch.equal(generator.generate(recall, TARGETS[:1], seed=1)[0].image, expected[0].image)


def test_dtype(folder):
    generator = load(folder, dtype="bfloat16")
    parts = generator.pipeline.components
    assert {parts[name].dtype for name in ("vae", "transformer", "text_encoder")} == {torch.bfloat16}
    view = generator.generate(left_third_missing(recall_of(TARGETS[:1])), TARGETS[:1], seed=1)[0]
    assert float(view.image.float().std()) > 1


def test_tiles(folder):
    assert load(folder, vae_tiling=True).pipeline.vae.use_tiling


def test_a_class_by_name(tmp_path):
    tiny_stable_diffusion(channels=4).save_pretrained(tmp_path / "sd")
    as_class(tmp_path / "sd", "StableDiffusionPipeline")
    for name in ("auto", "StableDiffusionInpaintPipeline"):
        generator = load(tmp_path / "sd", pipeline=name)
        assert type(generator.pipeline).__name__ == "StableDiffusionInpaintPipeline"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("NoSuchPipeline", "has no pipeline NoSuchPipeline"),
        ("os", "has no pipeline os"),
        ("Flux2KleinPipeline", "a Flux2KleinPipeline takes no mask_image"),
        ("StableDiffusionControlNetInpaintPipeline", "also needs control_image"),
    ],
)
def test_classes_that_cannot_draw(folder, name, message):
    with pytest.raises(ModelError, match=message):
        load(folder, pipeline=name)


def test_a_pipeline_without_one_for_inpainting(tmp_path):
    tiny_vace().save_pretrained(tmp_path / "vace")
    with pytest.raises(ModelError, match="no pipeline for inpainting that belongs to WanVACEPipeline"):
        load(tmp_path / "vace")


def test_folders_that_are_none(tmp_path):
    with pytest.raises(ModelError, match=r"has no model_index.json, so it is no pipeline .*`vmem fetch inpaint`"):
        load(tmp_path)
    with pytest.raises(ModelError, match="there is no folder"):
        load(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="is a file: engine 'inpaint' needs the folder"):
        load(tmp_path / "file")


def test_a_model_that_was_never_fetched(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"klein-4B of engine 'inpaint' is not on this machine: .*`vmem fetch inpaint`"
    ):
        load_generator("inpaint")
    with pytest.raises(ModelError, match="`vmem fetch inpaint --model someone/else`"):
        load("someone/else")
    with pytest.raises(ModelError, match="no model of that name"):
        load("what is this")


def test_half_a_folder(copy):
    shutil.rmtree(copy / "transformer")
    with pytest.raises(ModelError, match=r"is not whole: it has no transformer; run `vmem fetch inpaint`"):
        load(copy)


def test_a_part_without_its_weights(copy):
    (copy / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ModelError, match="vae cannot be loaded as AutoencoderKLFlux2"):
        load(copy)


def test_a_truncated_part(copy):
    weights = copy / "transformer" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ModelError, match="transformer cannot be loaded as Flux2Transformer2DModel"):
        load(copy)


def test_code_and_classes_of_others(copy):
    (copy / "pipeline.py").write_text("print('hello')")
    with pytest.raises(ModelError, match="holds code"):
        load(copy)
    (copy / "pipeline.py").unlink()
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps({**index, "vae": ["subprocess", "Popen"]}))
    with pytest.raises(ModelError, match="allowed are classes of diffusers, transformers"):
        load(copy)


def test_offloading_needs_a_gpu(folder):
    with pytest.raises(ModelError, match="offload='model' moves parts from a GPU"):
        load(folder, offload="model")


def test_offloading_without_its_package(klein, monkeypatch):
    """On a device that is no GPU here, the package is asked for first."""

    def absent(*_: object, **__: object) -> None:
        raise ImportError("`enable_model_cpu_offload` requires `accelerate v0.17.0` or higher.")

    monkeypatch.setattr(klein, "enable_model_cpu_offload", absent)
    with pytest.raises(ModelError, match=r"offload='model' needs accelerate .*pip install accelerate"):
        place(klein, "meta", "model")


def test_a_model_that_does_not_fit(folder, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(DiffusionPipeline, "to", full)
    with pytest.raises(MemoryFullError, match=r"does not fit on cpu .*offload=model, or offload=sequential"):
        load(folder)
