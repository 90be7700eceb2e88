"""Published weights become a pipeline folder: ``vmem convert``, and folders that are written and read with care."""

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tiny_models import UNET, tiny_image_encoder, tiny_pipeline, tiny_unet, tiny_vae
from vmem_ros.cli import main
from vmem_ros.errors import ModelError
from vmem_ros.generation import VMemPipeline
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline, write_pipeline


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a user has: weights.pth, config.json, vae/ and clip/."""
    folder = tmp_path_factory.mktemp("sources")
    torch.save({f"module.{name}": p for name, p in tiny_unet().state_dict().items()}, folder / "weights.pth")
    (folder / "config.json").write_text(json.dumps({**UNET, "_class_name": "MultiviewUNet"}))
    tiny_vae().save_pretrained(folder / "vae")
    tiny_image_encoder().save_pretrained(folder / "clip")
    return folder


def convert(sources: Path, out: Path, *more: str) -> int:
    parts = ["--vae", sources / "vae", "--image-encoder", sources / "clip", "--config", sources / "config.json"]
    return main(["convert", str(sources / "weights.pth"), str(out), *map(str, parts), *more])


def test_the_folder_holds_every_weight_and_the_terms(sources, tmp_path, capsys) -> None:
    assert convert(sources, tmp_path / "out") == 0
    said = capsys.readouterr().out
    pipeline = VMemPipeline.from_pretrained(tmp_path / "out")
    for part, expected in ((pipeline.unet, tiny_unet()), (pipeline.vae, tiny_vae())):
        state = part.state_dict()
        assert all(torch.equal(state[name], p) for name, p in expected.state_dict().items())
    assert pipeline.config.published_offset
    terms = (tmp_path / "out" / "NOTICE").read_text()
    assert "non-commercial use only, its outputs included" in terms
    assert terms in said
    assert f"engine:=vmem device:=cuda model:={tmp_path / 'out'}" in said
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    files = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".bin", ".pth", ".pt")]
    assert len({path.stat().st_mode for path in files}) == 1, "who may read one may read all"


def test_type_of_the_stored_parameters(sources, tmp_path) -> None:
    assert convert(sources, tmp_path / "out", "--dtype", "bfloat16") == 0
    for file in (tmp_path / "out").rglob("*.safetensors"):
        assert {tensor.dtype for tensor in load_file(file).values()} == {torch.bfloat16}


def test_a_folder_is_replaced_only_on_request_and_only_if_it_is_a_pipeline(sources, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    assert convert(sources, out) == 0
    (out / "marker").touch()
    assert convert(sources, out) == 1
    assert "exists: choose another name, or allow overwriting" in capsys.readouterr().err
    assert (out / "marker").exists()
    assert convert(sources, out, "--overwrite") == 0
    assert not (out / "marker").exists()
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").touch()
    assert convert(sources, tmp_path / "home", "--overwrite") == 1
    assert "is no pipeline folder" in capsys.readouterr().err
    assert (tmp_path / "home" / "thesis.tex").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["gone.pth", "out", "--vae", "{}/vae", "--image-encoder", "{}/clip"], "there is no file gone.pth"),
        (["{}/weights.pth", "no/where/out", "--vae", "{}/vae", "--image-encoder", "{}/clip"], "where does not exist"),
        (["{}/weights.pth", "out", "--vae", "{}/vae", "--image-encoder", "{}/clip"], "of 1146 parameters"),
        (
            ["{}/weights.pth", "out", "--vae", "{}/clip", "--image-encoder", "{}/clip"],
            "cannot be loaded as Autoencoder",
        ),
        (["{}/weights.pth", "out", "--vae", "{}/vae", "--image-encoder", "{}/vae"], "cannot be loaded as CLIPVision"),
        (["{}/weights.pth", "out", "--vae", "{}", "--image-encoder", "{}/clip"], "cannot be loaded as AutoencoderKL"),
        (["{}/weights.pth", "out", "--vae", "/no/vae", "--image-encoder", "{}/clip"], "there is no folder /no/vae"),
        (
            ["{}/weights.pth", "out", "--vae", "nobody/vae/main", "--image-encoder", "{}/clip"],
            "nobody/vae/main cannot be loaded",
        ),
        (["{}/weights.pth", "out", "--config", "{}/gone.json", "--vae", "v", "--image-encoder", "c"], "cannot be read"),
    ],
)
def test_errors_name_the_cause_and_leave_nothing(arguments, complaint, sources, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["convert", *(argument.format(sources) for argument in arguments)]) == 1
    error = capsys.readouterr().err
    assert "vmem convert: ModelError: " in error
    assert complaint in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_repository_that_was_never_fetched_says_how_to(sources, tmp_path, capsys) -> None:
    parts = ["--vae", "nobody/vae", "--image-encoder", str(sources / "clip")]
    assert main(["convert", str(sources / "weights.pth"), str(tmp_path / "out"), *parts]) == 1
    assert "fetch it with `hf download nobody/vae`, or allow downloads" in capsys.readouterr().err


def test_a_truncated_part_is_refused(sources, tmp_path, capsys) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(sources, broken)
    weights = broken / "clip" / "model.safetensors"
    os.truncate(weights, weights.stat().st_size - 100)
    assert convert(broken, tmp_path / "out") == 1
    assert "clip cannot be loaded as CLIPVisionModelWithProjection" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_help_is_quick() -> None:
    code = (
        "import sys; from vmem_ros.cli import main\ntry: main(['convert', '--help'])\n"
        "finally: assert 'diffusers' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--image-encoder" in result.stdout


class TestWriting:
    def test_a_disk_that_fills_up_leaves_what_was_there(self, tmp_path) -> None:
        out = tmp_path / "out"
        write_pipeline(tiny_pipeline(), out)
        (out / "marker").touch()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
        try:
            with pytest.raises(ModelError, match=r"cannot write .*out: .*; what was there, if anything, is unchanged"):
                write_pipeline(tiny_pipeline(), out, overwrite=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (out / "marker").exists()
        assert [path.name for path in tmp_path.iterdir()] == ["out"]

    def test_an_interruption_leaves_nothing(self, tmp_path, monkeypatch) -> None:
        def interrupted(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        pipeline = tiny_pipeline()
        monkeypatch.setattr(pipeline.vae, "save_pretrained", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_pipeline(pipeline, tmp_path / "out")
        assert not list(tmp_path.iterdir())


class TestReading:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        write_pipeline(tiny_pipeline(), tmp_path / "pipeline")
        return tmp_path / "pipeline"

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_parts_are_whole_and_quiet(self, folder, dtype, capfd) -> None:
        pipeline = read_pipeline(folder, torch_dtype=dtype)
        expected = tiny_pipeline().to(dtype)
        for name in ("unet", "vae", "image_encoder"):
            state = getattr(pipeline, name).state_dict()
            assert all(torch.equal(state[key], p) for key, p in getattr(expected, name).state_dict().items())
        assert capfd.readouterr() == ("", "")

    def test_a_pipeline_without_image_encoder(self, tmp_path) -> None:
        pipeline = VMemPipeline(tiny_unet(), tiny_vae(), None, tiny_pipeline().scheduler)
        write_pipeline(pipeline, tmp_path / "small")
        assert read_pipeline(tmp_path / "small").image_encoder is None

    def test_missing_folder_or_file(self, folder, tmp_path) -> None:
        with pytest.raises(ModelError, match=r"no pipeline folder .*gone: make one .* with `vmem convert`"):
            read_pipeline(tmp_path / "gone")
        with pytest.raises(ModelError, match="or fetch a repository of that name with `hf download nobody/vmem`"):
            read_pipeline("nobody/vmem")
        with pytest.raises(ModelError, match="is a file, not a pipeline folder"):
            read_pipeline(folder / "model_index.json")
        with pytest.raises(ModelError, match=r"has no model_index\.json"):
            read_pipeline(tmp_path)

    def test_truncated_weights(self, folder) -> None:
        weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
        os.truncate(weights, weights.stat().st_size // 2)
        with pytest.raises(ModelError, match="unet cannot be loaded as MultiviewUNet"):
            read_pipeline(folder)

    @pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model", "image_encoder/model"])
    def test_weights_that_lack_a_parameter(self, folder, part) -> None:
        weights = folder / f"{part}.safetensors"
        state = load_file(weights)
        lost = sorted(state)[3]
        del state[lost]
        save_file(state, weights, metadata={"format": "pt"})
        with pytest.raises(ModelError, match=rf"no weights for 1 parameters of \w+ \({lost}\)"):
            read_pipeline(folder)

    def test_weights_of_another_size(self, folder) -> None:
        config = folder / "unet" / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), "context_dim": 64}))
        with pytest.raises(ModelError, match="unet cannot be loaded as MultiviewUNet"):
            read_pipeline(folder)

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"_class_name": "StableDiffusionPipeline"}, "holds a StableDiffusionPipeline, not a VMemPipeline"),
            ({"vae": ["os", "system"]}, r"names \['os', 'system'\] as vae: allowed are classes of diffusers"),
            ({"vae": ["diffusers", "AutoencoderOfTomorrow"]}, "AutoencoderOfTomorrow as vae, which cannot be imported"),
            (
                {"vae": ["diffusers.of_tomorrow", "AutoencoderKL"]},
                "cannot be imported .*: update vmem_ros and diffusers",
            ),
            ({"unet": ["diffusers", "AutoencoderKL"]}, "unet has no weights for .* parameters of AutoencoderKL"),
            ({"vae": None}, "cannot be loaded as a pipeline"),
        ],
    )
    def test_an_index_that_names_something_else(self, folder, change, complaint) -> None:
        index = folder / "model_index.json"
        index.write_text(json.dumps({**json.loads(index.read_text()), **change}))
        with pytest.raises(ModelError, match=complaint):
            read_pipeline(folder)

    def test_an_index_that_is_no_json(self, folder) -> None:
        (folder / "model_index.json").write_text("{")
        with pytest.raises(ModelError, match=r"model_index\.json cannot be read"):
            read_pipeline(folder)
