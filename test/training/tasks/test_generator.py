"""Generators trained for a few steps: what comes of them is a pipeline that draws."""

import pytest
import torch
from accelerate import Accelerator

from training_runs import GENERATOR, changed, generate, log, run, same, weights
from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.generation.vmem.denoising import Denoiser
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline
from vmem_ros.generation.vmem.schedules import noise_levels
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes import as_recipe


@pytest.mark.slow
def test_a_generator_comes_out_as_a_pipeline_that_draws(generator_out):
    pipeline = read_pipeline(generator_out / "model")
    assert pipeline.unet.config.projection_channels == pipeline.vae.config.latent_channels + 1
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    images = generate(pipeline)
    assert images.shape == (2, 32, 32, 3)
    assert not torch.equal(images[0], images[1])


def test_samples_are_drawn_and_compared_while_it_trains(generator_out):
    entries = [entry for entry in log(generator_out) if "sample_psnr_dB" in entry]
    assert [entry["step"] for entry in entries] == [0, 2]
    for figures in entries:
        assert 3 < figures["sample_psnr_dB"] < 60
        assert 3 < figures["sample_psnr_memory_alone_dB"] < 60
        assert (generator_out / "samples" / f"step-{figures['step']:07d}.png").exists()


@pytest.mark.slow
def test_going_on_gives_the_weights_of_an_uninterrupted_training(generator_out, autoencoder, cache, tmp_path):
    run(GENERATOR, tmp_path, cache, autoencoder=str(autoencoder), optimisation={"steps": 1})
    run(GENERATOR, tmp_path, cache, autoencoder=str(autoencoder))
    assert same(weights(tmp_path / "model"), weights(generator_out / "model"))


def test_a_training_may_start_from_the_network_of_another(generator_out, autoencoder, cache, tmp_path):
    start = str(generator_out / "model")
    out = run(
        GENERATOR, tmp_path, cache, autoencoder=str(autoencoder), start=start, optimisation={"steps": 1, "lr": 0.0}
    )
    assert same(weights(out), weights(generator_out / "model"))


@pytest.mark.parametrize("prediction", ["v_prediction", "sample"])
def test_a_new_network_of_differences_repeats_what_memory_shows(autoencoder, cache, prediction):
    fields = {"autoencoder": str(autoencoder), "residual": True, "diffusion": {"prediction": prediction}}
    recipe = as_recipe(changed(GENERATOR, **fields))
    task = recipe.build_task(cache=cache, accelerator=Accelerator(cpu=True))
    conditioning = task.sampler.batch(0, 1).conditioning
    denoiser = Denoiser(task.network, conditioning, torch.ones(8), prediction=prediction)
    noise = torch.randn(conditioning.latents.shape, generator=torch.Generator().manual_seed(0))
    sigma = float(noise_levels(task.pipeline.scheduler)[-1])
    with torch.no_grad():
        clean = denoiser(noise, torch.tensor(999), sigma)
    asked = ~conditioning.given
    assert torch.allclose(clean[asked], conditioning.projection[asked, :-1], atol=0.1)


def test_another_network_to_start_from_is_named(generator_out, autoencoder, cache, tmp_path):
    start, network = str(generator_out / "model"), {"model_channels": 64}
    with pytest.raises(RecipeError, match="cannot start from the network"):
        run(GENERATOR, tmp_path, cache, autoencoder=str(autoencoder), start=start, network=network)
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prediction", "error"),
    [("epsilon", "latents"), ("v_prediction", "latents"), ("sample", "latents"), ("sample", "pixels")],
)
def test_a_few_sets_are_learnt(autoencoder, cache, tmp_path, prediction, error):
    fields = {
        "autoencoder": str(autoencoder),
        "diffusion": {"prediction": prediction, "error": error, "log_normal": [0.0, 0.5]},
        "optimisation": {"steps": 40, "lr": 0.005},
        "reporting": {"checkpoint_every": 1000, "sample_every": 1000},
    }
    recipe = as_recipe(changed(GENERATOR, **fields))
    accelerator = Accelerator(cpu=True)
    task = recipe.build_task(cache=cache, accelerator=accelerator)

    def loss():
        with torch.no_grad():
            return float(task.loss(task.network, 0, 8, torch.Generator().manual_seed(0))[0])

    before = loss()
    TrainingLoop(recipe, task, tmp_path, accelerator=accelerator).run()
    assert loss() < 0.85 * before


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": {"model_chanels": 32}}, r"no field network\.model_chanels; MultiviewUNet has model_channels"),
        ({"network": {"in_channels": 11}}, r"network\.in_channels is not to be set"),
        ({"network": {"model_channels": 33}}, r"network is no configuration of MultiviewUNet: .*multiple of 32"),
        ({"data": {"size": [30, 30]}}, r"multiples of 4"),
        ({"diffusion": {"levels": "published"}}, r"go with prediction: epsilon"),
    ],
)
def test_what_cannot_be_trained_is_named_before_any_work(autoencoder, cache, tmp_path, fields, message):
    with pytest.raises((RecipeError, ModelError, ValueError), match=message):
        run(GENERATOR, tmp_path / "out", cache, autoencoder=str(autoencoder), **fields)
    assert not (tmp_path / "out").exists()


def test_an_autoencoder_that_is_not_there(cache, tmp_path):
    with pytest.raises(ModelError, match="train one with `vmem train autoencoder`"):
        run(GENERATOR, tmp_path / "out", cache, autoencoder=str(tmp_path / "nowhere"))
