"""A pipeline as a folder: what was saved comes back, and nothing is unpickled."""

import json

import pytest
import torch

from chunks import chunk, tiny_pipeline
from vmem_ros.errors import ModelError
from vmem_ros.generation import VMemPipeline
from vmem_ros.generation.vmem.pipeline import MOVED_MODULES
from vmem_ros.generation.vmem.pipeline_folder import read_networks, read_pipeline


def loaded(folder):
    pipeline = VMemPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def assert_same(found, expected, **options):
    """Compare weights exactly, and images up to how a processor adds numbers at addresses of other alignment."""
    for name, part in expected.components.items():
        if isinstance(part, torch.nn.Module):
            weights = getattr(found, name).state_dict()
            assert all(torch.equal(weights[key], tensor) for key, tensor in part.state_dict().items())
    images = [pipeline(**chunk(**options)).images for pipeline in (found, expected)]
    torch.testing.assert_close(*images, rtol=0, atol=1e-5)


def test_round_trip(tmp_path):
    pipeline = tiny_pipeline(camera_scale=3.0, published_offset=True)
    pipeline.save_pretrained(tmp_path)
    again = loaded(tmp_path)
    assert type(again.unet) is type(pipeline.unet)
    assert (again.config.camera_scale, again.config.published_offset) == (3.0, True)
    for sampler in ("published", "fast"):
        assert_same(again, pipeline, sampler=sampler, num_inference_steps=4)


def test_folder_of_an_earlier_version(tmp_path):
    """Folders name the modules of their parts; those that have moved since are found where they are now."""
    pipeline = tiny_pipeline()
    pipeline.save_pretrained(tmp_path)
    index = tmp_path / "model_index.json"
    names = json.loads(index.read_text())
    now, before = names["unet"][0], "vmem_ros.generation.network.multiview_unet"
    assert now == MOVED_MODULES[before]
    index.write_text(json.dumps({**names, "unet": [before, names["unet"][1]]}))
    for read in (loaded, read_pipeline):
        assert_same(read(tmp_path), pipeline, num_inference_steps=2)


def test_round_trip_without_an_image_encoder(tmp_path):
    pipeline = tiny_pipeline(image_encoder=None)
    pipeline.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "model_index.json").read_text())["image_encoder"] == [None, None]
    again = loaded(tmp_path)
    assert again.image_encoder is None
    assert_same(again, pipeline)


def test_a_folder_with_code_is_refused_and_nothing_of_it_runs(tmp_path):
    """Also one whose ``model_index.json`` gives a module of the folder as the class of the pipeline."""
    folder = tmp_path / "model"
    tiny_pipeline().save_pretrained(folder)
    code = f"open({str(tmp_path / 'executed')!r}, 'w').close()\nclass VMemPipeline: pass\n"
    for place in ("pipeline.py", "unet/modeling.py"):
        (folder / place).write_text(code)
        for name in ("VMemPipeline", ["pipeline", "VMemPipeline"]):
            index = json.loads((folder / "model_index.json").read_text())
            (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": name}))
            for read in (loaded, read_pipeline, read_networks):
                with pytest.raises(ModelError, match=f"holds code .{place}"):
                    read(folder)
        (folder / place).unlink()
    assert not (tmp_path / "executed").exists()


def test_only_safetensors_are_written_and_read(tmp_path):
    pipeline = tiny_pipeline()
    pipeline.save_pretrained(tmp_path)
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".safetensors"}
    torch.save(pipeline.unet.state_dict(), weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(OSError, match=r"no file named diffusion_pytorch_model\.safetensors"):
        loaded(tmp_path)
