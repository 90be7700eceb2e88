"""Models of the package: put there by ``vmem ship``, named, whole, or refused with what to do."""

import dataclasses
import json
import re
import shutil

import pytest
import torch
from accelerate import Accelerator

from chunks import chunk
from rooms import box_view
from tiny_gac import tiny_gac
from tiny_models import tiny_pipeline
from training_runs import AUTOENCODER
from vmem_ros.cli import main
from vmem_ros.errors import ModelError
from vmem_ros.evaluation.metrics import psnr
from vmem_ros.evaluation.perceptual import perceptual_network
from vmem_ros.generation.engines import load_generator
from vmem_ros.generation.vmem import pipeline_folder
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline, write_pipeline
from vmem_ros.generation.vmem.sampling_options import SamplingDefaults, SamplingOptions
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import AUTO_MEMORY, load_memory, memory_kind
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.pretrained import shipped
from vmem_ros.pretrained.shipped import DEPTH_MODEL, MODELS, SHIPPED_MODELS
from vmem_ros.scenes import House
from vmem_ros.training.checkpoints import Checkpoints
from vmem_ros.training.log import TrainingLog, read_log
from vmem_ros.training.log_plot import draw_log
from vmem_ros.training.recipes import as_recipe, read_recipe
from vmem_ros.training.shipping import pipeline as pipeline_shipping
from vmem_ros.training.shipping import writing
from vmem_ros.types import Target
from vmem_ros.world import World, default_world

WEIGHTS = "unet/diffusion_pytorch_model.safetensors"
OWN = ["--sampler", "fast", "--steps", "3", "--guidance-scale", "1.5", "--max-side", "48"]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A pipeline, a training with two sheets, and a card."""
    folder = tmp_path_factory.mktemp("sources")
    write_pipeline(tiny_pipeline(), folder / "pipeline")
    training = folder / "training"
    recipe = as_recipe(AUTOENCODER).model_dump(mode="json")
    Checkpoints(training / "checkpoints", keep=1).save(4, {"parameters": []}, {"recipe": recipe})
    log = TrainingLog(training / "log.jsonl", step=0, accelerator=Accelerator(cpu=True))
    log.add(4, {"loss": 0.25, "lr": 0.001, "steps_per_s": 2.0})
    draw_log(read_log(training / "log.jsonl"), training / "loss.png")
    (training / "samples").mkdir()
    for step in (2, 4):
        shutil.copy(training / "loss.png", training / "samples" / f"step-{step:07d}.png")
    (folder / "card.md").write_text("# Small\n\nDraws boxes.\n")
    return folder


def ship(sources, *options: str) -> int:
    """Return the exit code of ``vmem ship small``."""
    fixed = ["--training", f"autoencoder={sources / 'training'}", "--card", str(sources / "card.md")]
    return main(["ship", "small", str(sources / "pipeline"), *fixed, *options])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(7)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """An empty place for models of the package."""
    monkeypatch.setattr(shipped, "MODELS", tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def small(sources, models):
    """The folder of a model that was put there."""
    assert ship(sources, *OWN) == 0
    return models / "small"


class TestShipping:
    def test_a_name_draws_what_the_pipeline_drew(self, sources, small) -> None:
        original, loaded = read_pipeline(sources / "pipeline"), read_pipeline("small")
        for pipeline in (original, loaded):
            pipeline.set_progress_bar_config(disable=True)
        assert loaded.unet.dtype == torch.float32
        asked = chunk(sampler="fast", num_inference_steps=3, guidance_scale=1.5)
        expected, image = (pipeline(**asked | {"generator": seeded()}).images for pipeline in (original, loaded))
        # Stored in 16 bits.
        assert 0 < (image - expected).abs().mean() < 1 / 255
        as_it_does = loaded(**chunk(num_inference_steps=None, generator=seeded())).images
        assert torch.equal(as_it_does, image)

    def test_it_brings_its_own_way_of_drawing(self, small) -> None:
        pipeline = read_pipeline("small")
        expected = SamplingDefaults(sampler="fast", num_inference_steps=3, guidance_scale=1.5)
        assert (pipeline.sampling_defaults, pipeline.config.max_side) == (expected, 48)

    def test_it_does_not_tell_where_it_came_from(self, sources, small) -> None:
        configurations = [path.read_text() for path in small.rglob("*.json")]
        assert len(configurations) > 4
        assert not [text for text in configurations if str(sources) in text]

    def test_it_brings_its_story(self, sources, small) -> None:
        training = small / "training" / "autoencoder"
        names = {path.name for path in training.iterdir()}
        assert names == {"recipe.yaml", "log.jsonl", "loss.png", "step-0000002.jpg", "step-0000004.jpg"}
        assert read_recipe(training / "recipe.yaml") == as_recipe(AUTOENCODER)
        card = (small / "README.md").read_text()
        assert card.startswith("# Small\n\nDraws boxes.\n")
        assert "| `unet` | `MultiviewUNet` |" in card
        assert "`fast` in 3 steps, guidance 1.5" in card
        assert f"vmem train autoencoder training/autoencoder/recipe.yaml --out {sources / 'training'}" in card
        assert "4 steps, 8 samples, 0.0 hours, 0.25 s a sample. Last figures: loss 0.25." in card
        assert "![step-0000004.jpg](training/autoencoder/step-0000004.jpg)" in card

    def test_a_pipeline_of_another_engine_brings_its_own_way_of_drawing_too(
        self, sources, models, tmp_path, capsys
    ) -> None:
        write_pipeline(tiny_gac(), tmp_path / "pipeline")
        card = ["--card", str(sources / "card.md"), "--training", f"autoencoder={sources / 'training'}"]
        command = ["ship", "small", str(tmp_path / "pipeline"), *card, "--steps", "1", "--geometry-steps", "4"]
        assert main(command) == 0
        loaded = pipeline_folder.read_any_pipeline("small")
        assert (type(loaded).__name__, loaded.sampling_defaults.geometry_steps) == ("GacPipeline", 4)
        assert "it draws views in 1 steps and their depth in 4, up to 2" in (models / "small" / "README.md").read_text()
        assert main([*command, "--overwrite", "--guidance-scale", "2"]) == 1
        assert "sampling has no field guidance_scale: allowed are num_inference_steps" in capsys.readouterr().err

    def test_large_parts_become_several_files(self, sources, models, monkeypatch) -> None:
        monkeypatch.setattr(pipeline_shipping, "_SHARD_BYTES", 300_000)
        assert ship(sources) == 0
        assert len(list((models / "small" / "unet").glob("*.safetensors"))) > 1
        again = read_pipeline("small").unet.state_dict()
        expected = tiny_pipeline().unet.half().float().state_dict()
        assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())

    @pytest.mark.parametrize(
        ("limit", "message"),
        [
            ("MAX_FILE_BYTES", "allowed are 0 MB a file: make the model smaller"),
            ("MAX_TOTAL_BYTES", "all models of the package would have"),
        ],
    )
    def test_what_is_too_large_is_refused_and_what_was_there_stays(
        self, sources, small, monkeypatch, capsys, limit, message
    ) -> None:
        before = {path: path.read_bytes() for path in small.rglob("*") if path.is_file()}
        monkeypatch.setattr(writing, limit, 100_000)
        assert ship(sources, "--overwrite") == 1
        assert message in capsys.readouterr().err
        assert {path: path.read_bytes() for path in small.parent.rglob("*") if path.is_file()} == before

    def test_a_model_is_replaced_only_when_asked(self, sources, small, capsys) -> None:
        assert ship(sources) == 1
        assert "small exists: allow overwriting" in capsys.readouterr().err
        assert ship(sources, "--overwrite", "--dtype", "float32") == 0
        assert read_pipeline("small").sampling_defaults == SamplingDefaults()

    def test_weights_that_do_not_fit_into_16_bits_are_refused(self, models) -> None:
        pipeline = tiny_pipeline()
        next(pipeline.unet.parameters()).fill_(1e6)
        with pytest.raises(ModelError, match=r"unet\..* is not finite in torch.float16: store the model as float32"):
            pipeline_shipping.ship_pipeline(
                pipeline, "small", trainings={}, sampling={}, max_side=None, introduction="", command="vmem ship"
            )
        assert not list(models.parent.rglob("*.safetensors"))

    @pytest.mark.parametrize(
        ("training", "message"),
        [
            ("generator", "--training is NAME=FOLDER, got 'generator'"),
            ("generator=nowhere", "nowhere is no training: it has no log.jsonl"),
            ("../../etc=nowhere", "the name of a training is small letters"),
        ],
    )
    def test_what_is_no_training_is_refused(self, sources, models, capsys, training, message) -> None:
        assert ship(sources, "--training", training) == 1
        assert message in capsys.readouterr().err
        assert not models.exists()


class TestDamage:
    @pytest.mark.parametrize(
        ("damage", "message"),
        [
            (lambda folder: shutil.rmtree(folder), r"the model 'small' that comes with vmem_ros is not at .*small"),
            (lambda folder: (folder / WEIGHTS).unlink(), rf"{WEIGHTS} is missing"),
            (lambda folder: cut(folder / WEIGHTS), rf"{WEIGHTS} is truncated or altered \([\d,]+ bytes\)"),
            (lambda folder: flip(folder / WEIGHTS), rf"{WEIGHTS} is truncated or altered"),
            (lambda folder: flip(folder / "unet" / "config.json"), r"unet/config.json is truncated or altered"),
            (lambda folder: (folder / "unet" / "more.safetensors").touch(), r"more.safetensors is no part of this"),
            (lambda folder: cut(folder / "manifest.json"), r"manifest.json is damaged"),
            (lambda folder: rewrite(folder / "manifest.json", format=2), r"manifest.json has format 2"),
            (lambda folder: rewrite(folder / "manifest.json", files=[1]), r"manifest.json is damaged"),
        ],
        ids=["gone", "missing", "truncated", "altered", "config", "extra", "manifest", "format", "files"],
    )
    def test_it_is_named_with_what_to_do(self, small, damage, message) -> None:
        damage(small)
        with pytest.raises(ModelError, match=rf"{message}.*reinstall vmem_ros.* engine 'reprojection' needs no model"):
            load_generator()

    def test_a_card_may_be_edited(self, small) -> None:
        (small / "README.md").write_text("mine")
        (small / "training" / "autoencoder" / "log.jsonl").unlink()
        assert load_generator(exemplars="none").name == "vmem"

    def test_a_copy_is_checked_too(self, small, tmp_path) -> None:
        shutil.copytree(small, tmp_path / "copy")
        flip(tmp_path / "copy" / WEIGHTS)
        with pytest.raises(ModelError, match=r"copy/unet/.* is truncated or altered"):
            read_pipeline(tmp_path / "copy")

    def test_explore_ends_with_one_line_and_makes_nothing(self, small, tmp_path, capsys) -> None:
        flip(small / WEIGHTS)
        assert main(["explore", "--house", "1000001", "--out", str(tmp_path / "out")]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("vmem explore: ModelError: ")
        assert f"{WEIGHTS} is truncated or altered" in line
        assert not (tmp_path / "out").exists()


def cut(path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite(path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


class TestOwnSampling:
    OWN = SamplingDefaults(sampler="fast", num_inference_steps=8, guidance_scale=1.5, guidance_interval=(0.3, 5.0))

    def test_what_nobody_asks_for_is_the_models(self) -> None:
        assert self.OWN.override(SamplingOptions()) == self.OWN
        asked = SamplingOptions(guidance_scale=1.0, guidance_interval=(0.0, float("inf")), num_inference_steps=4)
        changed = {name: value for name, value in vars(asked).items() if value is not None}
        assert self.OWN.override(asked) == dataclasses.replace(self.OWN, **changed)

    def test_a_number_of_steps_belongs_to_its_sampler(self) -> None:
        assert self.OWN.override(SamplingOptions(sampler="published")).num_inference_steps == 50
        assert self.OWN.override(SamplingOptions(sampler="fast")).num_inference_steps == 8
        assert SamplingDefaults().override(SamplingOptions(sampler="fast")).num_inference_steps == 15
        assert self.OWN.override(SamplingOptions(sampler="published", num_inference_steps=7)).num_inference_steps == 7

    def test_a_folder_keeps_it(self, tmp_path) -> None:
        pipeline = tiny_pipeline()
        pipeline.register_to_config(sampling=dataclasses.asdict(self.OWN), max_side=64)
        pipeline.save_pretrained(tmp_path)
        again = read_pipeline(tmp_path)
        assert (again.sampling_defaults, again.config.max_side) == (self.OWN, 64)

    def test_an_unknown_field_is_refused(self, tmp_path) -> None:
        tiny_pipeline().save_pretrained(tmp_path)
        rewrite(tmp_path / "model_index.json", sampling={"cfg": 2.0})
        with pytest.raises(ModelError, match="sampling has no field cfg: allowed are sampler, num_inference_steps"):
            read_pipeline(tmp_path)

    def test_a_generator_follows_it(self, small) -> None:
        generator = load_generator(exemplars="none")
        assert generator.max_side == 48
        steps, frames = [], []
        camera = Camera.from_fov(96, 64, 70)
        world = World(SurfelMemory(), generator, MemoryDepth(), composite="none")
        world.observe(box_view(camera, look_at((-1, 0, 0), (3, 0, 0))))
        targets = [Target(camera, look_at((-0.5, 0.1, 0), (3, 0, 0)))]
        frames += world.explore(targets, on_progress=lambda progress: steps.append(progress.steps))
        assert steps == [3, 3, 3]
        assert frames[0].view.latent.shape[1:] == (4, 6), "drawn at 32 x 48"
        assert frames[0].view.image.shape == (64, 96, 3)


def test_the_network_of_metrics_is_whole() -> None:
    assert len(perceptual_network().state_dict()) == 50


@pytest.mark.parametrize("name", [*SHIPPED_MODELS, DEPTH_MODEL])
class TestModelsOfThisPackage:
    def test_it_is_whole_and_of_a_size_that_packages_may_have(self, name) -> None:
        folder = MODELS / name
        shipped.check_manifest(folder)
        files = [path for path in folder.rglob("*") if path.is_file()]
        assert {"README.md", "manifest.json"} <= {path.name for path in folder.iterdir()}
        assert max(path.stat().st_size for path in files) <= writing.MAX_FILE_BYTES
        assert {path.suffix for path in files} <= {".json", ".safetensors", ".md", ".yaml", ".jsonl", ".png", ".jpg"}

    def test_its_card_tells_of_every_training_and_shows_what_is_there(self, name) -> None:
        folder = MODELS / name
        card = (folder / "README.md").read_text()
        commands = re.findall(r"vmem train (\w+) training/(\S+)/recipe\.yaml", card)
        assert sorted(label for _, label in commands) == sorted(path.name for path in (folder / "training").iterdir())
        assert commands, "a model without a training"
        linked = re.findall(r"\]\((training/[^)]+)\)", card)
        assert len(linked) >= len(commands)
        assert [link for link in linked if not (folder / link).is_file()] == []

    def test_its_recipes_are_read_by_the_command_that_the_card_names(self, name) -> None:
        folder = MODELS / name
        for trains, label in re.findall(
            r"vmem train (\w+) training/(\S+)/recipe\.yaml", (folder / "README.md").read_text()
        ):
            recipe = read_recipe(folder / "training" / label / "recipe.yaml", trains)
            steps = [entry["step"] for entry in read_log(folder / "training" / label / "log.jsonl") if "loss" in entry]
            assert len(steps) > 1
            assert 0 < steps[-1] <= recipe.optimisation.steps


def test_the_models_of_this_package_together_are_of_a_size_that_packages_may_have() -> None:
    sizes = [path.stat().st_size for path in MODELS.rglob("*") if path.is_file()]
    assert 1_000_000 < sum(sizes) <= writing.MAX_TOTAL_BYTES


@pytest.mark.parametrize("name", SHIPPED_MODELS)
def test_a_small_model_draws_in_fewer_steps_than_the_published_one(name) -> None:
    assert (
        pipeline_folder.read_any_pipeline(name).sampling_defaults.num_inference_steps
        < SamplingDefaults().num_inference_steps
    )


@pytest.mark.parametrize("engine", ["vmem", "spatia", "mirage", "gac"])
def test_an_engine_draws_with_the_model_of_the_package(engine) -> None:
    memory = load_memory(memory_kind(AUTO_MEMORY, [engine]))
    world = default_world(load_generator(engine), memory=memory)
    house, camera = House(1_000_000), Camera.from_fov(64, 64, 75)
    poses = house.random_walk(3, 0, step=0.3)
    world.seed(house.view(Target(camera, poses[0])))
    (frame, _) = world.explore([Target(camera, T) for T in poses[1:]], seed=1)
    # What was just seen is what is drawn.
    true = house.view(Target(camera, poses[1])).image
    assert psnr(frame.view.image, true) > 18
