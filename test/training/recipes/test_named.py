"""Recipes by name, and recipes of generators by their engine."""

import pytest
import yaml

from repository import ROOT
from training_runs import AUTOENCODER, GAC, GENERATOR, changed
from vmem_ros.cli import main
from vmem_ros.errors import RecipeError
from vmem_ros.training.recipes import GENERATORS, GacRecipe, GeneratorRecipe, as_recipe, named_recipe, read_recipe
from vmem_ros.training.recipes import named as named_module
from vmem_ros.training.recipes.changes import changes


class OwnRecipe(GeneratorRecipe):
    """A recipe that somebody else wrote."""

    engine: str = "test_named:OwnRecipe"
    wings: int = 2


def test_a_name_stands_for_a_file_of_the_checkout():
    assert named_recipe("gac") == ROOT / "config" / "training" / "gac.yaml"
    assert isinstance(read_recipe(named_recipe("gac"), "generator"), GacRecipe)


def test_every_engine_that_can_be_trained_has_a_recipe_of_its_name():
    for engine, kind in GENERATORS.items():
        recipe = read_recipe(named_recipe("generator" if engine == "vmem" else engine), "generator")
        assert type(recipe) is kind
        assert recipe.engine == engine


def test_names_that_are_none(monkeypatch, tmp_path):
    with pytest.raises(RecipeError, match=r"there is no recipe 'gcc': use one of autoencoder, depth, .*gac"):
        named_recipe("gcc")
    monkeypatch.setattr(named_module, "__file__", str(tmp_path / "vmem_ros" / "named.py"))
    with pytest.raises(RecipeError, match="this installation of vmem_ros has no config/training"):
        named_recipe("gac")


def test_an_installation_has_them_in_its_share(monkeypatch, tmp_path):
    share = tmp_path / "share" / "vmem_ros" / "config" / "training"
    share.mkdir(parents=True)
    (share / "gac.yaml").touch()
    site = tmp_path / "lib" / "python3.11" / "site-packages" / "vmem_ros" / "training"
    monkeypatch.setattr(named_module, "__file__", str(site / "named.py"))
    assert named_recipe("gac") == share / "gac.yaml"


def test_the_command_takes_a_name_or_a_file_and_not_both(capsys, tmp_path):
    out = ["--out", str(tmp_path / "out")]
    assert main(["train", "generator", "--recipe", "gcc", *out]) == 1
    assert "there is no recipe 'gcc'" in capsys.readouterr().err
    assert main(["train", "lora", "--recipe", "gac", *out]) == 1
    assert "trains: generator, not lora" in capsys.readouterr().err
    for wrong in (["file.yaml", "--recipe", "gac"], []):
        with pytest.raises(SystemExit):
            main(["train", "generator", *wrong, *out])
    assert not (tmp_path / "out").exists()


def test_a_recipe_that_names_no_engine_is_one_of_vmem(tmp_path):
    assert type(as_recipe(changed(GENERATOR, autoencoder="a"))) is GeneratorRecipe
    assert type(as_recipe(changed(GAC, autoencoder="a"))) is GacRecipe


@pytest.mark.parametrize(
    ("recipe", "fields", "message"),
    [
        (GAC, {"engine": "gcc"}, r"engine must be one of gac, .*vmem, or module:class of your own, got 'gcc'"),
        (GAC, {"engine": 3}, r"engine must be one of .*got 3"),
        (GAC, {"engine": "nowhere_at_all:Recipe"}, r"'nowhere_at_all:Recipe' cannot be imported"),
        (GAC, {"engine": "pathlib:Path"}, r"is no subclass of .*BaseRecipe"),
        (GAC, {"residual": True}, r"no field residual; allowed are autoencoder, .*unit_m"),
        (GAC, {"sequences": {"context": [2, 9]}}, r"sequences context must be a range below 4 views, got \[2, 9\]"),
        (GAC, {"sequences": {"views": 40}}, r"sequences\.views must be at most 17"),
        (GAC, {"depth": {"far_m": 0.1}}, r"depth near_m must be less than far_m"),
        (GAC, {"flow": {"shift": 0.0}}, r"flow\.shift must be more than 0"),
        (GAC, {"flow": {"logit_normal": [0.0, 0.0]}}, r"must be a mean and a positive standard deviation"),
        (AUTOENCODER, {"engine": "gac"}, r"no field engine"),
    ],
)
def test_what_is_refused(recipe, fields, message):
    with pytest.raises(RecipeError, match=message):
        as_recipe(changed(recipe, **{"autoencoder": "a", **fields} if recipe is GAC else fields))


def test_a_class_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "test" / "training" / "recipes"))
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(changed(GENERATOR, autoencoder="a", engine="test_named:OwnRecipe", wings=3)))
    recipe = read_recipe(path, "generator")
    assert (type(recipe).__name__, recipe.wings) == ("OwnRecipe", 3)


def test_a_checkpoint_of_another_engine_is_named():
    before = as_recipe(changed(GENERATOR, autoencoder="a")).model_dump(mode="json")
    assert "engine was vmem, now gac" in changes(before, as_recipe(changed(GAC, autoencoder="a")))
    # Of a version in which there was one engine.
    del before["engine"]
    assert changes(before, as_recipe(changed(GENERATOR, autoencoder="a"))) == []
