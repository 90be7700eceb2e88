"""The training of the depth network: its walks, its samples, and that it learns, resumes and can be used."""

import shutil

import pytest
import torch
from accelerate import Accelerator

from training_runs import DATA, DEPTH, changed, log, run, same, weights
from vmem_ros.cli import main
from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.pointmaps import load_estimator
from vmem_ros.pretrained import shipped
from vmem_ros.scenes import EVALUATION_SEEDS, House
from vmem_ros.training.data.depth_samples import DepthSampler
from vmem_ros.training.data.depth_walks import DepthWalkFactory
from vmem_ros.training.data.walk_caches import OpenWalkCache, evaluation_walks
from vmem_ros.training.data.walk_stream import WalkStream
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes import DepthRecipe, as_recipe
from vmem_ros.training.recipes.data import Data
from vmem_ros.training.shipping.depth import ship_depth
from vmem_ros.types import Target


def _said(call) -> str:
    """Return the message of the model error that a call raises."""
    with pytest.raises(ModelError) as raised:
        call()
    return str(raised.value)


def recipe(**fields) -> DepthRecipe:
    return as_recipe(changed(DEPTH, **fields))


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("depth_cache")


@pytest.fixture(scope="module")
def sampler(cache):
    def make(**fields) -> DepthSampler:
        made = recipe(**fields)
        return DepthSampler(WalkStream(OpenWalkCache(cache, made.data, DepthWalkFactory), made.data), made, multiple=4)

    return make


@pytest.fixture(scope="module")
def walk():
    return DepthWalkFactory(Data(**DATA)).make(1)


class TestWalks:
    def test_depth_is_that_of_the_house_where_memory_showed_it(self, walk):
        both = torch.isfinite(walk.remembered.float())
        assert both[1:].float().mean() > 0.3
        # Half of the remembered views are wrong by some 3 %; an edge may lie a pixel aside.
        error = (walk.remembered.float() / walk.depth.float() - 1).abs()[both]
        assert error.median() < 0.03

    def test_nothing_is_remembered_at_first(self, walk):
        assert walk.remembered[0].isnan().all()

    def test_they_do_not_disturb_the_walks_of_the_generator(self, cache):
        data = Data(**DATA)
        assert OpenWalkCache(cache, data, DepthWalkFactory)()[0].folder != OpenWalkCache(cache, data)()[0].folder

    def test_evaluation_walks_are_in_houses_that_are_not_trained_on(self, cache):
        (walk,) = evaluation_walks(cache, Data(**DATA), 1, DepthWalkFactory)
        views, _ = DepthWalkFactory(Data(**DATA | {"walks_per_house": 1}), houses=EVALUATION_SEEDS).views(0)
        truth = House(EVALUATION_SEEDS[0]).view(Target(walk.camera, views[3].T_world_camera))
        assert torch.equal(walk.images[3], truth.image)


class TestSamples:
    def test_equal_numbers_give_equal_samples_and_others_do_not(self, sampler):
        one, again, other = (sampler().batch(first, 4) for first in (8, 8, 12))
        assert torch.equal(one.images, again.images)
        assert torch.equal(one.prompt.nan_to_num(-1), again.prompt.nan_to_num(-1))
        assert not torch.equal(one.images, other.images)

    def test_a_mirrored_view_has_mirrored_rays(self, sampler):
        """To the right of a picture lies what is to the right in the world, or in the mirror."""
        batch = sampler(crop=0.0, prompted=0.0, imperfect=0.0).batch(0, 16)
        assert (batch.rays[:, 0].diff(dim=-1) > 0).all()
        made = DepthWalkFactory(Data(**DATA))
        views = torch.cat([made.make(number).images for number in range(2)]).permute(0, 3, 1, 2).float() / 127.5 - 1
        upright, mirrored = (
            [bool((views == each).flatten(1).all(dim=1).any()) for each in images]
            for images in (batch.images, batch.images.flip(-1))
        )
        assert any(upright)
        assert any(mirrored)
        assert all(a or b for a, b in zip(upright, mirrored, strict=True))

    def test_prompts_and_wanted_depth_are_scaled_alike(self, sampler):
        exact = sampler(prompted=1.0, prompt_scale=0.0, crop=0.0).batch(0, 16)
        wrong = sampler(prompted=1.0, prompt_scale=0.5, crop=0.0).batch(0, 16)
        told = torch.isfinite(exact.prompt).flatten(1).any(dim=1)
        factors = (wrong.depth / exact.depth).flatten(1).nanmedian(dim=1).values
        assert told.any()
        assert factors[told].log().abs().max() > 0.2
        assert torch.allclose(factors[~told], torch.ones(int((~told).sum())))
        ratio = (wrong.prompt / exact.prompt).flatten(1).nanmedian(dim=1).values
        assert torch.allclose(ratio[told], factors[told], rtol=1e-3)

    def test_without_a_prompt_nothing_is_told(self, sampler):
        assert sampler(prompted=0.0).batch(0, 8).prompt.isnan().all()

    def test_cut_pictures_keep_the_rays_of_their_pixels(self, sampler):
        cut = [sampler(crop=1.0, imperfect=0.0).batch(first, 1) for first in range(0, 24, 4)]
        sizes = {tuple(batch.images.shape[-2:]) for batch in cut}
        assert len(sizes) > 2
        assert all(height % 4 == 0 and width % 4 == 0 and min(height, width) >= 16 for height, width in sizes)
        assert all(batch.rays.shape[-2:] == batch.depth.shape[-2:] == batch.images.shape[-2:] for batch in cut)
        # A step from pixel to pixel is the same in a part of a picture as in all of it, mirrored or not.
        steps = [batch.rays[0, 0].diff(dim=-1).abs() for batch in cut]
        fovs = torch.tensor([60.0, 80.0]).deg2rad()
        low, high = (2 * torch.tan(fovs / 2) / 32).tolist()
        assert all(low * 0.999 <= step.min() and step.max() <= high * 1.001 for step in steps)


class TestTraining:
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
