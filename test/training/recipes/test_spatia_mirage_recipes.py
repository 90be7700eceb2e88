"""Recipes of the networks of Spatia and Mirage: what they may say, and what they have in common with the others."""

import pytest

from training_runs import GAC, MIRAGE, SPATIA, changed
from vmem_ros.errors import RecipeError
from vmem_ros.training.recipes import (
    GacRecipe,
    MirageRecipe,
    SpatiaRecipe,
    as_recipe,
    named_recipe,
    read_recipe,
)
from vmem_ros.training.recipes.changes import changes


@pytest.mark.parametrize(("recipe", "kind"), [(SPATIA, SpatiaRecipe), (MIRAGE, MirageRecipe), (GAC, GacRecipe)])
def test_engines_have_recipes_of_their_own(recipe, kind):
    assert type(as_recipe(changed(recipe, autoencoder="a"))) is kind


def test_networks_are_trained_on_equal_terms():
    """On the same walks, as many sets of them, with the same autoencoder, along the same rate of learning."""
    recipes = [read_recipe(named_recipe(name), "generator") for name in ("spatia", "mirage", "gac")]
    first = recipes[0]
    for recipe in recipes:
        assert recipe.data == first.data
        assert recipe.optimisation == first.optimisation
        assert recipe.flow == first.flow
        assert recipe.autoencoder == first.autoencoder
        assert recipe.sampling.num_inference_steps == 1
    vmem = read_recipe(named_recipe("generator"), "generator")
    assert vmem.data == first.data
    assert vmem.optimisation.model_copy(update={"compile": False}) == first.optimisation


@pytest.mark.parametrize(
    ("recipe", "fields", "message"),
    [
        (SPATIA, {"clips": {"history": 0}}, r"clips\.history must be at least 1, got 0"),
        (SPATIA, {"clips": {"preceding": 2}}, r"no field clips\.preceding; allowed are blur, continued, .*history"),
        (MIRAGE, {"clips": {"history": 2}}, r"no field clips\.history; allowed are .*preceding"),
        (MIRAGE, {"clips": {"preceding": -1}}, r"clips\.preceding must be at least 0, got -1"),
        (MIRAGE, {"clips": {"continued": 1.5}}, r"clips\.continued must be at most 1, got 1\.5"),
        (SPATIA, {"data": {"chunks": 1}}, r"clips\.continued needs walks of 2 data\.chunks or more"),
        (SPATIA, {"flow": {"shift": 0.0}}, r"flow\.shift must be more than 0"),
        (SPATIA, {"depth": {"far_m": 9.0}}, r"no field depth; allowed are autoencoder, clips, data, engine, flow"),
        (MIRAGE, {"sampling": {"guidance_scale": 2.0}}, r"no field sampling\.guidance_scale"),
        (SPATIA, {"autoencoder": 3}, r"autoencoder must be text, got 3"),
    ],
)
def test_what_is_refused(recipe, fields, message):
    with pytest.raises(RecipeError, match=message):
        as_recipe(changed(recipe, **{"autoencoder": "a", **fields}))


def test_a_walk_of_one_chunk_is_enough_for_clips_that_do_not_go_on():
    recipe = as_recipe(changed(SPATIA, autoencoder="a", data={"chunks": 1}, clips={"continued": 0.0}))
    assert recipe.clips.references == 3


def test_a_checkpoint_of_the_other_engine_is_named():
    before = as_recipe(changed(SPATIA, autoencoder="a")).model_dump(mode="json")
    assert "engine was spatia, now mirage" in changes(before, as_recipe(changed(MIRAGE, autoencoder="a")))
