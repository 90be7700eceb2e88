"""``vmem explore`` with engines that run a pipeline of diffusers, small and random, from a folder."""

import json

import pytest

from stock_pipelines import tiny_klein, tiny_vace
from vmem_ros.cli.main import main

MAKE = {"inpaint": tiny_klein, "wan-vace": tiny_vace}


@pytest.mark.parametrize(
    ("engine", "options"),
    [
        ("inpaint", ["sampling={num_inference_steps: 1}"]),
        ("wan-vace", ["sampling={num_inference_steps: 1, guidance_scale: 1}", "rounds={first: 9, later: 9}"]),
    ],
)
def test_a_house_is_explored(engine, options, tmp_path):
    MAKE[engine]().save_pretrained(tmp_path / "model")
    arguments = ["explore", "--engine", engine, "--model", str(tmp_path / "model"), "--prompt", "a red room"]
    for option in ("min_side=48", "max_side=64", *options):
        arguments += ["--engine-option", option]
    arguments += ["--house", "1000000", "--views", "4", "--width", "48", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["settings"]["prompt"] == "a red room"
    assert f"drawn by the engine `{engine}`" in (tmp_path / "out" / "report.md").read_text()
