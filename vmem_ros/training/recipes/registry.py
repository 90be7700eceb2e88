"""Classes of recipes: by what they train, and those of generators by the engine that draws with the result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.pretrained.factories import import_factory
from vmem_ros.training.recipes.autoencoder import AutoencoderRecipe
from vmem_ros.training.recipes.depth import DepthRecipe
from vmem_ros.training.recipes.gac import GacRecipe
from vmem_ros.training.recipes.generator import GeneratorRecipe
from vmem_ros.training.recipes.lora import LoraRecipe
from vmem_ros.training.recipes.mirage import MirageRecipe
from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.recipes.spatia import SpatiaRecipe

#: What can be trained, the field ``trains`` of a recipe.
TRAINABLE: dict[str, type[BaseRecipe]] = {
    "autoencoder": AutoencoderRecipe,
    "depth": DepthRecipe,
    "generator": GeneratorRecipe,
    "lora": LoraRecipe,
}
#: Generators by their engine, the field ``engine`` of a recipe. A new one is a class in this folder and a line here.
GENERATORS: dict[str, type[BaseRecipe]] = {
    "gac": GacRecipe,
    "mirage": MirageRecipe,
    "spatia": SpatiaRecipe,
    "vmem": GeneratorRecipe,
}


def recipe_class(content: Mapping[str, Any], trains: str, *, where: str) -> type[BaseRecipe]:
    """Return the class of a recipe.

    :param content: its fields; ``engine`` may also be ``module:class`` of your own, a subclass of :class:`BaseRecipe`.
    :param trains: one of :data:`TRAINABLE`.
    :raises RecipeError: there is no such engine.
    """
    engine = content.get("engine")
    if trains != "generator" or engine is None:
        return TRAINABLE[trains]
    if engine in GENERATORS:
        return GENERATORS[engine]
    if not isinstance(engine, str) or ":" not in engine:
        raise RecipeError(
            f"{where}: engine must be one of {', '.join(GENERATORS)}, or module:class of your own, got {engine!r}"
        )
    try:
        kind = import_factory(engine, what="engine")
    except ModelError as error:
        raise RecipeError(f"{where}: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, BaseRecipe)):
        raise RecipeError(f"{where}: engine = {engine!r} is no subclass of {BaseRecipe.__module__}.BaseRecipe")
    return kind
