"""Recipes: what they may say, and what an error says where they may not."""

import pickle

import pytest
import yaml
from pydantic import ValidationError

from repository import ROOT
from training_runs import AUTOENCODER, DEPTH, GENERATOR, LORA, changed
from vmem_ros.cli import main, train
from vmem_ros.errors import RecipeError
from vmem_ros.training.recipes import TRAINABLE, as_recipe, read_recipe
from vmem_ros.training.recipes.changes import changes
from vmem_ros.training.tracking import TRACKERS

SHIPPED = ROOT / "config" / "training"


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_can_be_read_and_survive_a_round_trip(path):
    recipe = read_recipe(path)
    # Generators of other engines than vmem are called like their engine.
    assert path.stem.partition("_")[0] in (recipe.trains, getattr(recipe, "engine", None))
    dumped = recipe.model_dump(mode="json")
    assert as_recipe(dumped) == recipe
    assert as_recipe(yaml.safe_load(yaml.safe_dump(dumped))) == recipe


def test_the_full_size_adapter_has_the_numbers_of_the_paper():
    recipe = read_recipe(SHIPPED / "lora_full.yaml")
    how = recipe.optimisation
    assert (recipe.adapter.rank, how.lr, how.weight_decay, how.schedule) == (256, 3e-6, 1e-4, "cosine")
    assert (how.batch, how.steps, recipe.conditions.recalled) == (24, 600_000, 0.0)


@pytest.mark.parametrize(
    ("recipe", "fields", "message"),
    [
        (AUTOENCODER, {"speed": 3}, r"no field speed; allowed are config, data, edges"),
        (
            AUTOENCODER,
            {"optimisation": {"leraning_rate": 1}},
            r"no field optimisation\.leraning_rate; allowed are .*lr",
        ),
        (AUTOENCODER, {"optimisation": {"steps": "many"}}, r"optimisation\.steps must be a whole number, got 'many'"),
        (AUTOENCODER, {"optimisation": {"steps": True}}, r"optimisation\.steps must be a whole number, got True"),
        (AUTOENCODER, {"optimisation": {"lr": "1e-4"}}, r"lr must be a number, got '1e-4'; .*write 1\.0e-4"),
        (AUTOENCODER, {"optimisation": {"batch": 0}}, r"optimisation\.batch must be at least 1, got 0"),
        (
            AUTOENCODER,
            {"optimisation": {"precision": "int8"}},
            r"precision must be one of 'no', 'bf16' or 'fp16', got 'int8'",
        ),
        (
            AUTOENCODER,
            {"kind": "AutoencoderVQ"},
            r"kind must be one of 'AutoencoderKL', 'AutoencoderTiny' or 'PatchAuto",
        ),
        (AUTOENCODER, {"data": {"size": [32]}}, r"data\.size must be a longer list, got \[32\]"),
        (AUTOENCODER, {"data": {"size": [32, 32, 3]}}, r"data\.size must be a list of 2, got \[32, 32, 3\]"),
        (AUTOENCODER, {"data": {"size": [32, 0]}}, r"data\.size\[1\] must be at least 1, got 0"),
        (AUTOENCODER, {"data": {"size": 32}}, r"data\.size must be a list, got 32"),
        (AUTOENCODER, {"data": {"imperfect": 1.5}}, r"data\.imperfect must be at most 1, got 1\.5"),
        (AUTOENCODER, {"data": {"imperfect": float("nan")}}, r"data\.imperfect must be at most 1, got nan"),
        (AUTOENCODER, {"config": None}, r"config must be a mapping, got None"),
        (AUTOENCODER, {"data": {"fov_deg": [80.0, 60.0]}}, r"fov_deg must be two rising numbers between 20 and 120"),
        (AUTOENCODER, {"data": 3}, r"data must be a mapping of fields, got 3"),
        (GENERATOR, {}, r"the field autoencoder is missing"),
        (LORA, {"pipeline": "here", "adapter": {"rank": 0}}, r"adapter\.rank must be at least 1, got 0"),
        (LORA, {"pipeline": "here", "min_snr": 0.0}, r"min_snr must be more than 0 or null, got 0"),
        (
            LORA,
            {"pipeline": "here", "adapter": {"modules": []}},
            r"adapter\.modules must be a list of at least 1, got \[\]",
        ),
        (LORA, {"pipeline": 3}, r"pipeline must be text, got 3"),
        (GENERATOR, {"autoencoder": "a", "residual": "yes"}, r"residual must be true or false, got 'yes'"),
        (
            GENERATOR,
            {"autoencoder": "a", "adversary": {"depth": 1}},
            r"no field adversary\.depth; allowed are looks_at, rate, weight",
        ),
        (
            GENERATOR,
            {"autoencoder": "a", "diffusion": {"log_normal": [0.0, 0.0]}},
            r"diffusion\.log_normal must be a mean and a positive standard deviation, got \[0\.0, 0\.0\]",
        ),
        (GENERATOR, {"autoencoder": "a", "diffusion": {"log_normal": 3}}, r"log_normal must be a list or null, got 3"),
        (GENERATOR, {"autoencoder": "a", "trains": "cake"}, r"trains must be one of autoencoder, .*lora, got 'cake'"),
        (GENERATOR, {"trains": None}, r"trains must be one of"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(recipe, fields, message):
    with pytest.raises(RecipeError, match=message):
        as_recipe(changed(recipe, **fields))


def test_settings_replace_fields_of_the_file(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(AUTOENCODER))
    recipe = read_recipe(path, settings=["optimisation.lr=0.5", "data.size=[64, 32]", "seed=7"])
    assert (recipe.optimisation.lr, recipe.data.size, recipe.seed) == (0.5, (64, 32), 7)
    for wrong, message in (
        ("optimisation.lr", "a setting is section.field=value"),
        ("optimisation.rl=1", "no field optimisation.rl"),
        ("kind.inner=1", "kind is no section"),
        ("seed=[", "is no YAML"),
    ):
        with pytest.raises(RecipeError, match=message):
            read_recipe(path, settings=[wrong])


@pytest.mark.parametrize("content", ["- a\n- list", "a: [", "\x00"])
def test_a_file_that_is_no_recipe(tmp_path, content):
    path = tmp_path / "recipe.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=r"recipe\.yaml"):
        read_recipe(path)


def test_the_command_names_the_field_and_makes_nothing(tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(changed(AUTOENCODER, colour="red")))
    assert main(["train", "autoencoder", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "RecipeError" in (error := capsys.readouterr().err)
    assert "colour" in error
    assert not (tmp_path / "out").exists()


def test_differences_need_a_projection():
    with pytest.raises(RecipeError, match="needs projection: true"):
        as_recipe(changed(GENERATOR, autoencoder="", residual=True, projection=False))


def test_an_adversary_needs_pixels():
    with pytest.raises(RecipeError, match=r"needs projection: true and diffusion\.error: pixels"):
        as_recipe(changed(GENERATOR, autoencoder="", adversary={"width": 8}))


def test_a_recipe_from_before_it_said_what_it_trains_is_read_with_the_word_of_the_command(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({name: value for name, value in AUTOENCODER.items() if name != "trains"}))
    assert read_recipe(path, "autoencoder") == as_recipe(AUTOENCODER)
    with pytest.raises(RecipeError, match=r"recipe\.yaml: trains must be one of autoencoder, .*got None"):
        read_recipe(path)


def test_a_recipe_of_another_training_is_named_with_its_command(tmp_path, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(AUTOENCODER))
    assert main(["train", "lora", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "trains: autoencoder, not lora; use `vmem train autoencoder`" in capsys.readouterr().err


def test_the_command_trains_what_there_are_recipes_for():
    assert set(train._TRAINABLE) == set(TRAINABLE)
    assert set(train._TRACKERS) == set(TRACKERS)


def test_a_recipe_cannot_be_changed_and_goes_to_other_processes():
    recipe = as_recipe(AUTOENCODER)
    with pytest.raises(ValidationError, match="frozen"):
        recipe.seed = 3
    assert pickle.loads(pickle.dumps(recipe)) == recipe


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, []),
        ({"optimisation": {"steps": 9}, "reporting": {"log_every": 7}, "data": {"workers": 3}}, []),
        ({"optimisation": {"lr": 0.5}}, ["optimisation.lr was 0.002, now 0.5"]),
        (
            {"data": {"size": [32, 64]}, "edges": 2.0},
            ["data.size was [32, 32], now [32, 64]", "edges was 1.0, now 2.0"],
        ),
    ],
)
def test_what_changed_since_a_checkpoint_is_named_unless_it_may(fields, expected):
    before = as_recipe(AUTOENCODER).model_dump(mode="json")
    # Of a version that did not have these fields yet.
    del before["trains"], before["kl"], before["data"]["time_of_day"]
    assert changes(before, as_recipe(changed(AUTOENCODER, **fields))) == expected


def test_a_checkpoint_of_another_training_is_named():
    (message,) = changes(as_recipe(AUTOENCODER).model_dump(mode="json"), as_recipe(DEPTH))
    assert "trains: autoencoder, not depth" in message
