"""The training of the depth network: it learns, goes on, and what comes of it estimates depth."""

import shutil

import pytest
import torch
from accelerate import Accelerator

from training_runs import DEPTH, changed, log, run, same, weights
from vmem_ros.cli import main
from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.pointmaps import load_estimator
from vmem_ros.pretrained import shipped
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes import DepthRecipe, as_recipe
from vmem_ros.training.shipping.depth import ship_depth


def recipe(**fields) -> DepthRecipe:
    return as_recipe(changed(DEPTH, **fields))


def _said(call) -> str:
    """Return the message of the model error that a call raises."""
    with pytest.raises(ModelError) as raised:
        call()
    return str(raised.value)


class TestTraining:
    @pytest.mark.slow
    def test_it_learns(self, cache, tmp_path):
        made = recipe(optimisation={"steps": 40, "ema_decay": 0.0}, reporting={"sample_every": 1000})
        accelerator = Accelerator(cpu=True)
        task = made.build_task(cache=cache, accelerator=accelerator)

        def loss():
            with torch.no_grad():
                return float(task.loss(task.network, 0, 16, torch.Generator())[0])

        before = loss()
        TrainingLoop(made, task, tmp_path, accelerator=accelerator).run()
        assert loss() < before - 0.3

    def test_it_goes_on_and_its_result_estimates_depth(self, cache, tmp_path):
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        run(DEPTH, whole, cache)
        run(DEPTH, parts, cache, optimisation={"steps": 2})
        run(DEPTH, parts, cache)
        assert same(weights(whole / "model"), weights(parts / "model"))
        assert (whole / "samples" / "step-0000004.png").read_bytes().startswith(b"\x89PNG")
        figures = [entry for entry in log(whole) if "sample_depth_error" in entry]
        assert 0 < figures[-1]["sample_depth_error"] < 2
        assert load_estimator("small", model=whole / "model").name == "small"
        self._ships(whole, tmp_path)

    def _ships(self, training, tmp_path):
        """It becomes the network of the package, with its card, and is refused when somebody touched it."""
        card = tmp_path / "card.md"
        card.write_text("# Depth\n")
        command = ["ship", "depth", str(training / "model"), "--training", f"depth={training}", "--card", str(card)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(shipped, "MODELS", tmp_path / "models")
            assert main(command) == 0
            assert "exists" in _said(lambda: ship_depth(training / "model", trainings={}, introduction="", command=""))
            assert load_estimator("small").name == "small"
            folder = tmp_path / "models" / "depth"
            assert "4 steps" in (folder / "README.md").read_text()
            weights_file = next(folder.glob("*.safetensors"))
            weights_file.write_bytes(weights_file.read_bytes()[:-8])
            assert "truncated" in _said(lambda: load_estimator("small"))
            shutil.rmtree(folder)
            assert "is not at" in _said(lambda: load_estimator("small"))

    def test_pictures_must_fit_the_network(self, cache):
        made = recipe(data={"size": [30, 32]})
        with pytest.raises(RecipeError, match=r"data.size must be multiples of 4"):
            made.build_task(cache=cache, accelerator=Accelerator(cpu=True))

    @pytest.mark.parametrize(("field", "value"), [("prompted", 1.5), ("crop", -0.1), ("edges", -1.0)])
    def test_values_out_of_range(self, field, value):
        with pytest.raises(RecipeError, match=field):
            recipe(**{field: value})

    def test_a_field_of_the_network_that_does_not_exist(self, cache):
        with pytest.raises(RecipeError, match=r"no field network.depth"):
            recipe(network={"depth": 3}).build_task(cache=cache, accelerator=Accelerator(cpu=True))
