"""What differs between the recipe of a training that goes on and the one that it began with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vmem_ros.errors import RecipeError
from vmem_ros.training.recipes.reading import as_recipe
from vmem_ros.training.recipes.recipe import BaseRecipe

# What may change between one start of a training and the next.
_FREE = ("optimisation.steps", "reporting.", "sampling.", "data.workers")


def changes(before: Mapping[str, Any], now: BaseRecipe) -> list[str]:
    """Return which fields changed, apart from those that may.

    :param before: the dumped recipe of a checkpoint. Fields that came later have their default.
    """
    try:
        old = as_recipe(before, now.trains, where="there")
    except RecipeError as error:
        return [str(error)]
    return _differences(old.model_dump(mode="json"), now.model_dump(mode="json"))


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    found = []
    for name in sorted({*before, *now}):
        old, new, path = before.get(name), now.get(name), f"{prefix}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{path}.")
        elif old != new and not path.startswith(_FREE):
            found.append(f"{path} was {old}, now {new}")
    return found
