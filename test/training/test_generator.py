"""Generators and adapters trained for a few steps: what comes of them is a pipeline, or an adapter that it loads."""

import pytest
import torch
from accelerate import Accelerator

from training_runs import AUTOENCODER, DATA, GENERATOR, LORA, changed, log, run, same, weights
from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.generation import VMemGenerator
from vmem_ros.generation.vmem.conditioning import Conditioning
from vmem_ros.generation.vmem.denoising import Denoiser
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline
from vmem_ros.generation.vmem.prediction import clean_latents, wanted_output
from vmem_ros.generation.vmem.sampling_options import SamplingOptions
from vmem_ros.generation.vmem.schedules import log_scheduler, noise_levels
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.training.data.house_walks import ViewWalkFactory
from vmem_ros.training.data.view_sets import Batch
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes import as_recipe
from vmem_ros.training.recipes.data import Data
from vmem_ros.training.tasks.adversary import Adversary
from vmem_ros.training.tasks.denoising_objective import DenoisingObjective
from vmem_ros.types import PointMap, Target, View


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("training_cache")


@pytest.fixture(scope="module")
def autoencoder(cache, tmp_path_factory):
    return run(AUTOENCODER, tmp_path_factory.mktemp("autoencoder"), cache)


@pytest.fixture(scope="module")
def generator_out(autoencoder, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("generator")
    run(GENERATOR, out, cache, autoencoder=str(autoencoder))
    return out


def drawn(pipeline, seed=0):
    """Return two views that a pipeline draws after one, through the generator that worlds use."""
    walk = ViewWalkFactory(Data(**DATA)).make(0)
    first = View(walk.images[0], walk.camera, walk.poses[0])
    memory = SurfelMemory()
    depth = torch.full(walk.camera.size, 2.0)
    memory.write([first], [PointMap.from_depth(depth, torch.ones_like(depth), walk.camera, walk.poses[0])])
    targets = [Target(walk.camera, pose) for pose in walk.poses[1:3]]
    generator = VMemGenerator(pipeline, sampling=SamplingOptions(sampler="fast", num_inference_steps=2))
    return torch.stack([view.image for view in generator.generate(memory.read(targets), targets, seed=seed)])


def test_a_generator_comes_out_as_a_pipeline_that_draws(generator_out):
    pipeline = read_pipeline(generator_out / "model")
    assert pipeline.unet.config.projection_channels == pipeline.vae.config.latent_channels + 1
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    images = drawn(pipeline)
    assert images.shape == (2, 32, 32, 3)
    assert not torch.equal(images[0], images[1])


def test_samples_are_drawn_and_compared_while_it_trains(generator_out):
    entries = [entry for entry in log(generator_out) if "sample_psnr_dB" in entry]
    assert [entry["step"] for entry in entries] == [0, 2]
    for figures in entries:
        assert 3 < figures["sample_psnr_dB"] < 60
        assert 3 < figures["sample_psnr_memory_alone_dB"] < 60
        assert (generator_out / "samples" / f"step-{figures['step']:07d}.png").exists()


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


def test_differences_need_a_projection():
    with pytest.raises(RecipeError, match="needs projection: true"):
        as_recipe(changed(GENERATOR, autoencoder="", residual=True, projection=False))


def test_another_network_to_start_from_is_named(generator_out, autoencoder, cache, tmp_path):
    start, network = str(generator_out / "model"), {"model_channels": 64}
    with pytest.raises(RecipeError, match="cannot start from the network"):
        run(GENERATOR, tmp_path, cache, autoencoder=str(autoencoder), start=start, network=network)
    assert not (tmp_path / "checkpoints").exists()


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


def test_an_adversary_learns_and_the_network_learns_from_it(autoencoder, cache, tmp_path):
    fields = {
        "autoencoder": str(autoencoder),
        "adversary": {"width": 8, "weight": 1.0},
        "diffusion": {"prediction": "sample", "error": "pixels"},
        "optimisation": {"steps": 30, "lr": 0.005},
        "reporting": {"checkpoint_every": 1000, "sample_every": 1000},
    }
    out = run(GENERATOR, tmp_path, cache, **fields)
    entries = [entry for entry in log(tmp_path) if "adversary" in entry]
    # Who cannot tell them apart has log 2.
    assert min(entry["adversary"] for entry in entries) < 0.65
    assert not any("adversary" in name for name in weights(out))


def test_going_on_with_an_adversary_gives_the_weights_of_an_uninterrupted_training(autoencoder, cache, tmp_path):
    fields = {
        "autoencoder": str(autoencoder),
        "adversary": {"width": 8, "weight": 1.0},
        "diffusion": {"prediction": "sample", "error": "pixels"},
    }
    whole = run(GENERATOR, tmp_path / "whole", cache, **fields, optimisation={"steps": 6, "lr": 0.005})
    parts = tmp_path / "parts"
    for steps in (3, 6):
        run(GENERATOR, parts, cache, **fields, optimisation={"steps": steps, "lr": 0.005})
    assert same(weights(parts / "model"), weights(whole))


def test_doubts_change_the_network_and_learning_changes_the_adversary():
    torch.manual_seed(0)
    adversary = Adversary(8)
    drawn, true, shown = (torch.randn(2, 3, 16, 16, requires_grad=True) for _ in range(3))
    share = torch.rand(2, 1, 4, 4)
    adversary.doubts(drawn, true.detach(), shown, share).backward()
    assert float(drawn.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in adversary.parameters())
    drawn.grad = None
    adversary.learn(drawn, true, shown, share).backward()
    assert drawn.grad is None
    assert all(parameter.grad is not None for parameter in adversary.parameters())


def test_an_adversary_needs_pixels():
    with pytest.raises(RecipeError, match=r"needs projection: true and diffusion\.error: pixels"):
        as_recipe(changed(GENERATOR, autoencoder="", adversary={"width": 8}))


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


def test_an_adapter_is_trained_loaded_and_removed(generator_out, cache, tmp_path):
    adapter = run(LORA, tmp_path / "out", cache, pipeline=str(generator_out / "model"))
    pipeline = read_pipeline(generator_out / "model")
    before = drawn(pipeline)
    pipeline.load_lora_weights(adapter)
    after = drawn(pipeline)
    pipeline.unload_lora_weights()
    assert not torch.equal(before, after)
    assert torch.equal(before, drawn(pipeline))
    assert all(".lora_" in name for name in weights(adapter))


def test_an_adapter_goes_on_where_it_was(generator_out, cache, tmp_path):
    straight, halted = tmp_path / "straight", tmp_path / "halted"
    options = {"pipeline": str(generator_out / "model"), "checkpointing": True}
    run(LORA, straight, cache, **options)
    run(LORA, halted, cache, **options, optimisation={"steps": 1})
    run(LORA, halted, cache, **options)
    assert same(weights(straight / "model"), weights(halted / "model"))


def test_an_adapter_for_no_layer(generator_out, cache, tmp_path):
    with pytest.raises(RecipeError, match=r"adapter\.modules = \['to_nothing'\] cannot be adapted"):
        run(LORA, tmp_path, cache, pipeline=str(generator_out / "model"), adapter={"modules": ["to_nothing"]})


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_prediction_gives_the_clean_latents(prediction):
    torch.manual_seed(0)
    clean, noise = torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    sigma = torch.tensor([0.02, 1.0, 40.0])[:, None, None, None]
    noisy = (clean + sigma * noise) / (sigma**2 + 1).sqrt()
    output = wanted_output(prediction, clean, noise, sigma)
    assert torch.allclose(clean_latents(prediction, noisy, output, sigma), clean, atol=2e-5)


class _Perfect:
    """A network that knows the clean latents of its frames, and says the velocity that leads to them."""

    def __init__(self, clean, sigmas):
        self.clean, self.sigmas = clean, torch.from_numpy(sigmas).float()

    def prepare(self, *_):
        return None

    def __call__(self, sample, timestep, *_, num_frames=None, prepared=None):
        channels = self.clean.shape[1]
        sigma = self.sigmas[timestep][:, None, None, None]
        noisy = sample[:, :channels]
        noise = (noisy * (sigma**2 + 1).sqrt() - self.clean) / sigma
        return type("Output", (), {"sample": wanted_output("v_prediction", self.clean, noise, sigma)})


class _Wrong:
    """A network that says the same everywhere and keeps the timesteps it is asked at."""

    def __init__(self, value):
        self.value, self.timesteps = value, []

    def __call__(self, sample, timestep, *_):
        self.timesteps += timestep.tolist()
        return type("Output", (), {"sample": torch.full_like(sample[:, :4], self.value)})


def test_a_share_of_the_sets_is_noise_alone():
    conditioning = Conditioning(
        torch.zeros(100, 4, 2, 2), torch.zeros(100, dtype=torch.bool), torch.zeros(100, 6, 2, 2), torch.zeros(100, 1, 8)
    )
    for share, least, most in ((0.0, 0, 2), (0.5, 35, 65), (1.0, 100, 100)):
        network = _Wrong(0.0)
        objective = DenoisingObjective(log_scheduler(0.02, 40.0), pure_noise=share)
        objective(network, Batch(torch.zeros(100, 4, 2, 2), conditioning, 1), torch.Generator().manual_seed(0))
        assert least <= network.timesteps.count(999) <= most


def test_errors_of_pixels_are_absolute_ones_of_decoded_images_that_are_not_given():
    clean = torch.zeros(2, 4, 2, 2)
    clean[0] = 100.0  # given: what is said of it does not count
    given = torch.tensor([True, False])
    conditioning = Conditioning(
        clean * given[:, None, None, None], given, torch.zeros(2, 6, 2, 2), torch.zeros(2, 1, 8)
    )
    objective = DenoisingObjective(
        log_scheduler(0.02, 40.0, prediction="sample"), decode=lambda latents: 3 * latents + 7
    )
    loss, _ = objective(_Wrong(-2.0), Batch(clean, conditioning, 2), torch.Generator().manual_seed(0))
    assert float(loss) == pytest.approx(6.0)


def test_errors_count_more_where_memory_shows_nothing():
    """Two cells, one of them seen; the error of the other is three times as large."""
    clean = torch.tensor([1.0, 3.0]).view(1, 1, 1, 2).expand(1, 4, 1, 2)
    projection = torch.cat([torch.zeros(1, 4, 1, 2), torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)], dim=1)
    given = torch.tensor([False])
    conditioning = Conditioning(
        torch.zeros(1, 4, 1, 2), given, torch.zeros(1, 6, 1, 2), torch.zeros(1, 1, 8), projection
    )
    scheduler = log_scheduler(0.02, 40.0, prediction="sample")
    for unseen, expected in ((1.0, 2.0), (3.0, 2.5), (0.0, 1.0)):
        objective = DenoisingObjective(scheduler, decode=lambda latents: latents[:, :3], unseen=unseen)
        loss, _ = objective(_Wrong(0.0), Batch(clean, conditioning, 1), torch.Generator().manual_seed(0))
        assert float(loss) == pytest.approx(expected)


def test_a_perfect_network_has_no_loss_and_denoises_in_one_step():
    torch.manual_seed(0)
    clean = torch.randn(3, 4, 4, 4)
    given = torch.tensor([True, False, False])
    conditioning = Conditioning(
        clean * given[:, None, None, None], given, torch.randn(3, 6, 4, 4), torch.zeros(3, 1, 8)
    )
    scheduler = log_scheduler(0.02, 40.0, prediction="v_prediction")
    sigmas = noise_levels(scheduler)
    network = _Perfect(clean, sigmas)
    loss, figures = DenoisingObjective(scheduler)(
        network, Batch(clean, conditioning, 3), torch.Generator().manual_seed(0)
    )
    assert float(loss) < 1e-4
    assert len(figures) == 1
    denoiser = Denoiser(network, conditioning, torch.ones(3), prediction="v_prediction")
    noisy = torch.randn(3, 4, 4, 4)
    assert torch.allclose(denoiser(noisy, torch.tensor(700), float(sigmas[700])), clean, atol=1e-3)
