"""The ``vmem`` command: help, errors, and exploring a photo without ROS."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rooms import box_view
from tiny_models import tiny_pipeline
from vmem_ros.cli import main
from vmem_ros.errors import InvalidImageError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.pointmaps.depth_network import DepthNetwork
from vmem_ros.showcase.photo import read_photo
from wan_pipelines import video_pipeline


@pytest.fixture
def photo(tmp_path):
    """An RGB-D photo as files: photo.png and depth.png in millimetres."""
    view = box_view(Camera.from_fov(120, 80, 60), look_at((0, 0, 0), (1, 0.2, 0)))
    cv2.imwrite(str(tmp_path / "photo.png"), view.image.numpy()[..., ::-1])
    cv2.imwrite(str(tmp_path / "depth.png"), (view.depth.numpy() * 1000).round().astype(np.uint16))
    np.save(tmp_path / "depth.npy", view.depth.numpy())
    return view


def test_help_is_quick_and_names_the_verbs():
    code = (
        "import sys; from vmem_ros.cli import main\ntry: main(['--help'])\nfinally: assert 'torch' not in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "explore" in result.stdout


def test_an_unknown_verb_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["dream"])
    assert "explore" in capsys.readouterr().err


def test_a_photo_is_explored(photo, tmp_path, capsys):
    arguments = ["--image", tmp_path / "photo.png", "--depth", tmp_path / "depth.png", "--out", tmp_path / "out"]
    arguments += ["--engine", "reprojection", "--views", "5", "--width", "60"]
    assert main(["explore", *map(str, arguments)]) == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"contact_sheet.png", "loop.gif", "cloud.ply", "recording", "report.md", "report.json"}
    assert "contact_sheet.png" in capsys.readouterr().out
    report = (tmp_path / "out" / "report.md").read_text()
    assert "Against the truth" not in report
    assert "drawn by the engine `reprojection`" in report


def test_a_model_of_ones_own_explores(photo, tmp_path):
    pipeline = tiny_pipeline()
    pipeline.register_to_config(sampling={"sampler": "fast", "num_inference_steps": 2}, max_side=32)
    pipeline.save_pretrained(tmp_path / "model")
    arguments = ["--image", tmp_path / "photo.png", "--depth", tmp_path / "depth.png", "--out", tmp_path / "out"]
    arguments += ["--model", tmp_path / "model", "--views", "3", "--width", "60"]
    assert main(["explore", *map(str, arguments)]) == 0
    assert "drawn by the engine `vmem`" in (tmp_path / "out" / "report.md").read_text()


def test_a_prompt_reaches_an_engine_that_reads_and_is_refused_by_others(photo, tmp_path, capsys):
    video_pipeline().save_pretrained(tmp_path / "model")
    arguments = ["--image", tmp_path / "photo.png", "--depth", tmp_path / "depth.png", "--prompt", "a red room"]
    arguments += ["--views", "3", "--width", "60", "--memory", "points"]
    reading = ["--engine", "spatia", "--model", tmp_path / "model", "--out", tmp_path / "out"]
    assert main(["explore", *map(str, [*arguments, *reading])]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["prompt"] == "a red room"
    assert "drawn by the engine `spatia`" in (tmp_path / "out" / "report.md").read_text()
    deaf = ["--engine", "reprojection", "--out", tmp_path / "other"]
    assert main(["explore", *map(str, [*arguments, *deaf])]) == 1
    assert "'reprojection' uses no prompt" in capsys.readouterr().err


def test_a_photo_without_depth_is_explored_with_that_of_a_network(photo, tmp_path):
    torch.manual_seed(0)
    network = DepthNetwork(widths=(8, 16), blocks=(1, 1), attention_blocks=1, head_width=8, typical_depth_m=3.0)
    network.save_pretrained(tmp_path / "network")
    arguments = ["--image", tmp_path / "photo.png", "--depth-model", tmp_path / "network", "--out", tmp_path / "out"]
    arguments += ["--engine", "reprojection", "--views", "5", "--width", "60"]
    assert main(["explore", *map(str, arguments)]) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["depth of what the camera took"] == "estimated"
    assert report["settings"]["depth of new views"] == "small"
    cloud = (tmp_path / "out" / "cloud.ply").read_bytes()
    assert len(cloud) > 20_000


def test_a_photo_of_the_open_air_is_taken_for_one_and_that_is_said(tmp_path, capsys):
    picture = np.full((64, 96, 3), (60, 120, 50), np.uint8)
    picture[:32] = (110, 170, 240)
    Image.fromarray(picture).save(tmp_path / "meadow.png")
    arguments = ["--image", str(tmp_path / "meadow.png"), "--engine", "reprojection", "--views", "3"]
    assert main(["explore", *arguments, "--out", str(tmp_path / "out")]) == 0
    assert "taken for the open air, its sky put 400 m away" in capsys.readouterr().out
    options = ["--estimator-option", "scene=indoors", "--out", str(tmp_path / "indoors")]
    assert main(["explore", *arguments, *options]) == 0
    assert "open air" not in capsys.readouterr().out


def test_errors_name_the_cause_and_the_exit_code_is_one(photo, tmp_path, capsys):
    image = str(tmp_path / "photo.png")
    for options, complaint in {
        ("--image", image, "--estimator", "memory"): "use an estimator that looks at pictures",
        ("--image", image, "--depth-model", str(tmp_path / "none")): "ModelError",
        ("--image", image, "--rgb"): "for a photo without depth, leave --depth away",
        ("--house", "1", "--depth", "depth.npy"): "--depth is that of a photo",
    }.items():
        engine = ["--engine", "reprojection", "--width", "60"]
        assert main(["explore", *options, *engine, "--out", str(tmp_path / "other")]) == 1
        assert complaint in capsys.readouterr().err
    missing = ["--image", str(tmp_path / "no.png"), "--depth", str(tmp_path / "depth.png")]
    assert main(["explore", *missing, "--out", str(tmp_path / "out")]) == 1
    assert "InvalidImageError: cannot read the image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["depth.png", "depth.npy"])
def test_depth_in_millimetres_and_in_metres_is_read(photo, tmp_path, name):
    view = read_photo(tmp_path / "photo.png", tmp_path / name, fov_deg=60, max_width=500)
    assert torch.equal(view.image, photo.image)
    assert torch.allclose(view.depth, photo.depth, atol=6e-4)
    assert view.camera == photo.camera
    assert view.T_world_camera[:3, 2].tolist() == [1, 0, 0]


def test_scaling_down_never_mixes_depths(photo, tmp_path):
    view = read_photo(tmp_path / "photo.png", tmp_path / "depth.npy", fov_deg=60, max_width=40)
    assert (view.camera.width, view.camera.height) == (40, 27)
    assert np.isin(view.depth.numpy(), photo.depth.numpy()).all()


def test_a_depth_map_of_another_unit_or_picture_is_refused(photo, tmp_path):
    metres = photo.depth.numpy()
    np.save(tmp_path / "millimetres_as_float.npy", metres * 1000)
    np.save(tmp_path / "normalised.npy", (metres / metres.max() * 255).astype(np.uint8))
    np.save(tmp_path / "square.npy", metres[:, :80])
    np.save(tmp_path / "nothing.npy", np.zeros_like(metres))
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object))
    np.savez(tmp_path / "two.npz", a=metres, b=metres)
    whole = (tmp_path / "two.npz").read_bytes()
    (tmp_path / "half.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "broken.png").write_bytes(b"not a picture")
    for name, complaint in {
        "millimetres_as_float.npy": "the unit is probably wrong",
        "normalised.npy": "has no unit of length",
        "square.npy": "same aspect ratio",
        "nothing.npy": "no positive depth",
        "objects.npy": "cannot read the depth",
        "two.npz": r"\['a', 'b'\]",
        "half.npz": "cannot read the depth",
        "broken.png": "16-bit PNG or TIFF in millimetres",
        "missing.png": "no such file",
    }.items():
        with pytest.raises(InvalidImageError, match=complaint):
            read_photo(tmp_path / "photo.png", tmp_path / name, fov_deg=60, max_width=500)
