"""Recipes by name: those of ``config/training`` in the checkout or the ROS installation of this package."""

from __future__ import annotations

from pathlib import Path

from vmem_ros.errors import RecipeError

# In a checkout, and below the prefix of an installation by colcon.
_FOLDERS = ("config/training", "share/vmem_ros/config/training")


def named_recipe(name: str) -> Path:
    """Return the file of a recipe that comes with the package, such as ``gac``.

    :raises RecipeError: there is none of that name; the message lists those that there are.
    """
    recipes = _recipes()
    if name in recipes:
        return recipes[name]
    if not recipes:
        raise RecipeError(
            f"there is no recipe {name!r}: this installation of vmem_ros has no config/training; give the YAML file of "
            "a recipe instead of --recipe"
        )
    raise RecipeError(f"there is no recipe {name!r}: use one of {', '.join(sorted(recipes))}, or give a YAML file")


def _recipes() -> dict[str, Path]:
    for parent in Path(__file__).resolve().parents:
        for folder in _FOLDERS:
            if found := {path.stem: path for path in (parent / folder).glob("*.yaml")}:
                return found
    return {}
