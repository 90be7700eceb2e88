"""Networks of Spatia and Mirage trained for a few steps: what comes of them are engines."""

import pytest
import torch
from accelerate import Accelerator

from training_runs import DATA, MIRAGE, SPATIA, changed, log, mean_loss, run, same, weights
from vmem_ros.cli import main
from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.vmem.pipeline_folder import read_any_pipeline, read_pipeline_of
from vmem_ros.generation.wan import SceneWanPipeline
from vmem_ros.memory import load_memory
from vmem_ros.pretrained import shipped
from vmem_ros.training.data.house_walks import ViewWalkFactory
from vmem_ros.training.loop import TrainingLoop
from vmem_ros.training.recipes import as_recipe, read_recipe
from vmem_ros.training.recipes.data import Data
from vmem_ros.types import Target
from vmem_ros.world import World, default_world

RECIPES = {"spatia": SPATIA, "mirage": MIRAGE}
BOTH = pytest.mark.parametrize("engine", list(RECIPES))
MEMORIES = {"spatia": "points", "mirage": "latent"}


@pytest.fixture(scope="module")
def outs(autoencoder, cache, tmp_path_factory):
    """Folders of trainings by engine."""
    made = {engine: tmp_path_factory.mktemp(engine) for engine in RECIPES}
    for engine, out in made.items():
        run(RECIPES[engine], out, cache, autoencoder=str(autoencoder))
    return made


def task_of(engine, autoencoder, cache, **fields):
    recipe = as_recipe(changed(RECIPES[engine], autoencoder=str(autoencoder), **fields))
    return recipe, recipe.build_task(cache=cache, accelerator=Accelerator(cpu=True))


@BOTH
def test_it_comes_out_as_a_model_that_explores_a_house(outs, engine):
    generator = load_generator(engine, model=outs[engine] / "model")
    assert generator.frames == 4
    world = World(load_memory(MEMORIES[engine]), generator, default_world(generator).estimator)
    views, _ = ViewWalkFactory(Data(**DATA)).views(0)
    world.observe(views[0])
    # The second round goes on from the first.
    frames = list(world.explore([Target(view.camera, view.T_world_camera) for view in views[1:9]], seed=1))
    assert len(world) == 9
    assert all(frame.view.image.shape == (32, 32, 3) for frame in frames)


@BOTH
def test_samples_are_drawn_by_the_engine_and_compared_while_it_trains(outs, engine):
    entries = [entry for entry in log(outs[engine]) if "sample_psnr_dB" in entry]
    assert [entry["step"] for entry in entries] == [0, 2]
    for figures in entries:
        assert 3 < figures["sample_psnr_dB"] < 60
        assert 3 < figures["sample_psnr_memory_alone_dB"] < 60
        assert (outs[engine] / "samples" / f"step-{figures['step']:07d}.png").exists()


@BOTH
def test_it_can_be_shipped_with_a_card_that_says_what_it_cost(outs, engine, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "MODELS", tmp_path / "models")
    (tmp_path / "card.md").write_text("# A small clip network\n")
    made = ["ship", "small", str(outs[engine] / "model"), "--card", str(tmp_path / "card.md")]
    assert main([*made, "--training", f"generator={outs[engine]}", "--steps", "3"]) == 0
    loaded = read_any_pipeline("small")
    assert type(loaded) is SceneWanPipeline
    assert loaded.sampling_defaults.num_inference_steps == 3
    card = (tmp_path / "models" / "small" / "README.md").read_text()
    assert "| `transformer` | `SceneWanTransformer3DModel` |" in card
    later, history = (6, 2) if engine == "spatia" else (5, 1)
    assert f"clips of 5 and then {later} frames, of which {history} are known, with up to 3 references" in card
    assert "vmem train generator training/generator/recipe.yaml" in card
    assert "2 steps, 4 samples, 0.0 hours" in card
    recipe = read_recipe(tmp_path / "models" / "small" / "training" / "generator" / "recipe.yaml", "generator")
    assert recipe.engine == engine


@pytest.mark.slow
@BOTH
def test_going_on_gives_the_weights_of_an_uninterrupted_training(outs, engine, autoencoder, cache, tmp_path):
    run(RECIPES[engine], tmp_path, cache, autoencoder=str(autoencoder), optimisation={"steps": 1})
    run(RECIPES[engine], tmp_path, cache, autoencoder=str(autoencoder))
    assert same(weights(tmp_path / "model"), weights(outs[engine] / "model"))


@BOTH
def test_a_training_may_start_from_the_network_of_another(outs, engine, autoencoder, cache):
    _, task = task_of(engine, autoencoder, cache, start=str(outs[engine] / "model"))
    trained = read_pipeline_of(SceneWanPipeline, outs[engine] / "model").transformer.state_dict()
    assert same(task.network.state_dict(), trained)
    with pytest.raises(RecipeError, match="cannot start from the network"):
        task_of(engine, autoencoder, cache, start=str(outs[engine] / "model"), network={"ffn_dim": 64})


@BOTH
@pytest.mark.parametrize(
    ("prediction", "error"), [("velocity", "latents"), ("sample", "latents"), ("sample", "pixels")]
)
def test_a_network_that_knows_the_answer_has_no_loss(engine, autoencoder, cache, prediction, error):
    """Whatever the frames beside the clip: every frame under noise is compared with itself."""
    fields = {"network": {"prediction": prediction}, "flow": {"error": error}}
    _, task = task_of(engine, autoencoder, cache, **fields)
    named = set()
    for number in range(4):
        batch = task.sampler.batch(number, 2)
        clip = batch.clean.shape[2]

        def knowing(stream, times, text, *, num_references, batch=batch, clip=clip, **_):
            frames = slice(num_references, num_references + clip)
            t = times[:, None, frames, None, None] / 1000
            flow = torch.zeros_like(stream)
            flow[:, :, frames] = (stream[:, :, frames] - batch.clean) / t.clamp(min=1e-6)
            return (flow,)

        loss, figures = task.objective(knowing, batch, torch.Generator().manual_seed(0))
        assert float(loss) == pytest.approx(0, abs=1e-3)
        named |= set(figures)
    assert named <= {"loss_first", "loss_continued"}


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize(
    ("prediction", "error"), [("velocity", "latents"), ("sample", "latents"), ("difference", "pixels")]
)
def test_a_few_clips_are_learnt(engine, autoencoder, cache, tmp_path, prediction, error):
    fields = {
        "network": {"prediction": prediction},
        "flow": {"error": error},
        "optimisation": {"steps": 60, "lr": 0.005, "ema_decay": 0.0},
        "reporting": {"checkpoint_every": 1000, "sample_every": 1000},
    }
    recipe, task = task_of(engine, autoencoder, cache, **fields)
    before = mean_loss(task)
    TrainingLoop(recipe, task, tmp_path, accelerator=Accelerator(cpu=True)).run()
    assert mean_loss(task) < 0.85 * before


@BOTH
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"network": {"num_layer": 2}}, r"no field network\.num_layer; SceneWanTransformer3DModel has patch_size"),
        ({"network": {"in_channels": 4}}, r"network\.in_channels is not to be set: it follows from the autoencoder"),
        ({"network": {"vace_layers": [1]}}, r"network is no configuration of SceneWan.*vace_layers must ascend from 0"),
        ({"network": {"prediction": "noise"}}, r"prediction must be one of velocity, sample, difference, got 'noise'"),
        ({"data": {"size": [36, 32]}}, r"data\.size must be multiples of 8 for this network, got \[36, 32\]"),
        ({"start": "/nowhere/at/all"}, r"there is no pipeline folder"),
    ],
)
def test_what_cannot_be_trained_is_named_before_any_work(engine, autoencoder, cache, tmp_path, fields, message):
    with pytest.raises((RecipeError, ModelError), match=message):
        run(RECIPES[engine], tmp_path / "out", cache, autoencoder=str(autoencoder), **fields)
    assert not (tmp_path / "out").exists()
