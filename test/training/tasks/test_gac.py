"""Networks of Geometry-as-Context trained for a few steps: what comes of them is an engine."""

import pytest
import torch
from accelerate import Accelerator

from training_runs import DATA, GAC, changed, log, mean_loss, run, same, weights
from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.gac import GacPipeline
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline_of
from vmem_ros.training.data.house_walks import ViewWalkFactory
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes import as_recipe
from vmem_ros.training.recipes.data import Data
from vmem_ros.types import Target
from vmem_ros.world import default_world


@pytest.fixture(scope="module")
def gac_out(autoencoder, cache, tmp_path_factory):
    """Folder of a training."""
    out = tmp_path_factory.mktemp("gac")
    run(GAC, out, cache, autoencoder=str(autoencoder))
    return out


def task_of(autoencoder, cache, **fields):
    recipe = as_recipe(changed(GAC, autoencoder=str(autoencoder), **fields))
    return recipe, recipe.build_task(cache=cache, accelerator=Accelerator(cpu=True))


def test_it_comes_out_as_a_model_that_explores_a_house(gac_out):
    pipeline = read_pipeline_of(GacPipeline, gac_out / "model")
    assert (pipeline.config.frames, pipeline.config.context, pipeline.config.far_m) == (2, 2, 20.0)
    world = default_world(load_generator("gac", model=gac_out / "model"))
    views, _ = ViewWalkFactory(Data(**DATA)).views(0)
    world.observe(views[0])
    frames = list(world.explore([Target(view.camera, view.T_world_camera) for view in views[1:4]], seed=1))
    assert len(world) == 4
    assert all(frame.view.depth is not None and frame.view.image.shape == (32, 32, 3) for frame in frames)


def test_samples_are_drawn_with_their_depth_and_compared_while_it_trains(gac_out):
    entries = [entry for entry in log(gac_out) if "sample_psnr_dB" in entry]
    assert [entry["step"] for entry in entries] == [0, 2]
    for figures in entries:
        assert 3 < figures["sample_psnr_dB"] < 60
        assert 0 < figures["sample_depth_error"] < 100
        assert (gac_out / "samples" / f"step-{figures['step']:07d}.png").exists()


@pytest.mark.slow
def test_going_on_gives_the_weights_of_an_uninterrupted_training(gac_out, autoencoder, cache, tmp_path):
    run(GAC, tmp_path, cache, autoencoder=str(autoencoder), optimisation={"steps": 1})
    run(GAC, tmp_path, cache, autoencoder=str(autoencoder))
    assert same(weights(tmp_path / "model"), weights(gac_out / "model"))


def test_a_training_may_start_from_the_network_of_another(gac_out, autoencoder, cache):
    _, task = task_of(autoencoder, cache, start=str(gac_out / "model"))
    trained = read_pipeline_of(GacPipeline, gac_out / "model").transformer.state_dict()
    assert same(task.network.state_dict(), trained)


def test_equal_numbers_give_equal_sequences_with_the_nearest_view_next_to_the_targets(autoencoder, cache):
    _, task = task_of(autoencoder, cache)
    first, again, other = (task.sampler.batch(n, 2) for n in (0, 0, 2))
    assert torch.equal(first.clean, again.clean)
    assert torch.equal(first.plucker, again.plucker)
    assert first.clean.shape != other.clean.shape or not torch.equal(first.clean, other.clean)
    layouts = set()
    for number in range(12):
        batch = task.sampler.batch(number, 1)
        assert len(batch.clean[0]) == sum(part.word is None for part in batch.parts)
        # The rays of the first view are told in its own frame.
        assert float(batch.plucker[0, 0, 3:].abs().max()) == pytest.approx(0, abs=1e-6)
        layouts.add(tuple(map(str, batch.parts)))
    assert len(layouts) > 4


@pytest.mark.parametrize(
    ("prediction", "error"), [("velocity", "latents"), ("sample", "latents"), ("sample", "pixels")]
)
def test_a_network_that_knows_the_answer_has_no_loss(autoencoder, cache, prediction, error):
    """Whatever the layout: every image under noise is compared with itself."""
    fields = {"network": {"prediction": prediction}, "flow": {"error": error}, "sequences": {"noise": 0.0}}
    _, task = task_of(autoencoder, cache, **fields)
    task.network.train(False)
    for number in range(3):
        batch = task.sampler.batch(number, 2)
        images = [part for part in batch.parts if part.word is None]

        def knowing(latents, times, plucker, splits, batch=batch, images=images):
            shown = [split for split in splits if split.part.word is None]
            noisy = [i for i, split in enumerate(shown) if split.mode == "noise"]
            clean = batch.clean[:, [images.index(shown[i].part) for i in noisy]]
            t = times[:, noisy, None, None, None]
            return clean if prediction == "sample" else (latents[:, noisy] - clean) / t

        loss, figures = task.objective(knowing, batch, torch.Generator().manual_seed(0))
        assert float(loss) == pytest.approx(0, abs=1e-3)
        assert {"loss_image"} <= set(figures) <= {"loss_image", "loss_geometry"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prediction", "error"), [("velocity", "latents"), ("sample", "latents"), ("sample", "pixels")]
)
def test_a_few_sequences_are_learnt(autoencoder, cache, tmp_path, prediction, error):
    fields = {
        "network": {"prediction": prediction},
        "flow": {"error": error},
        "optimisation": {"steps": 60, "lr": 0.005, "ema_decay": 0.0},
        "reporting": {"checkpoint_every": 1000, "sample_every": 1000},
    }
    recipe, task = task_of(autoencoder, cache, **fields)
    before = mean_loss(task)
    TrainingLoop(recipe, task, tmp_path, accelerator=Accelerator(cpu=True)).run()
    assert mean_loss(task) < 0.85 * before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": {"widht": 32}}, r"no field network\.widht; GacTransformer has patch"),
        ({"network": {"latent_channels": 4}}, r"network\.latent_channels is not to be set"),
        ({"network": {"width": 30}}, r"network is no configuration of GacTransformer: .*multiple of 4"),
        ({"data": {"size": [36, 32]}}, r"data\.size must be multiples of 8 for this network, got \[36, 32\]"),
        ({"start": "/nowhere/at/all"}, r"there is no pipeline folder"),
    ],
)
def test_what_cannot_be_trained_is_named_before_any_work(autoencoder, cache, tmp_path, fields, message):
    with pytest.raises((RecipeError, ModelError), match=message):
        run(GAC, tmp_path / "out", cache, autoencoder=str(autoencoder), **fields)
    assert not (tmp_path / "out").exists()


def test_another_network_to_start_from_is_named(gac_out, autoencoder, cache):
    with pytest.raises(RecipeError, match="cannot start from the network"):
        task_of(autoencoder, cache, start=str(gac_out / "model"), network={"ffn_width": 64})


def test_the_autoencoder_of_a_model_of_the_package(cache):
    _, task = task_of("small", cache, data={"size": [64, 64]})
    assert task.pipeline.vae.config.latent_channels == 32
