"""Recipes from YAML files, and errors that name the field, what it was given and what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from vmem_ros.errors import RecipeError
from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.recipes.registry import TRAINABLE, recipe_class
from vmem_ros.training.recipes.section import Section

# What a field takes, by the type of pydantic's error.
_TAKES = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "model_type": "a mapping of fields",
    "tuple_type": "a list",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of {max_length}",
    "literal_error": "one of {expected}",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
}


def read_recipe(path: Path | str, trains: str | None = None, *, settings: Sequence[str] = ()) -> BaseRecipe:
    """Return the recipe of a YAML file.

    :param trains: what is to be trained, one of :data:`TRAINABLE`; a file that has a field ``trains`` must agree.
    :param settings: ``section.field=value`` that replace what the file says, values in YAML.
    :raises RecipeError: unreadable, or a field that is unknown, missing, of another type or out of range.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"the recipe {path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"the recipe {path} must be a mapping of fields, got {type(content).__name__}")
    for setting in settings:
        _apply(content, setting)
    return as_recipe(content, trains, where=str(path))


def as_recipe(content: Mapping[str, Any], trains: str | None = None, *, where: str = "recipe") -> BaseRecipe:
    """Return the recipe of nested mappings; see :func:`read_recipe`."""
    named = content.get("trains", trains)
    if named not in TRAINABLE:
        raise RecipeError(f"{where}: trains must be one of {', '.join(TRAINABLE)}, got {named!r}")
    if trains not in (None, named):
        raise RecipeError(f"{where}: this recipe trains: {named}, not {trains}; use `vmem train {named}`")
    kind = recipe_class(content, named, where=where)
    try:
        return kind.model_validate({**content, "trains": named})
    except ValidationError as error:
        raise RecipeError(f"{where}: {_explain(dict(error.errors()[0]), kind)}") from error


def _apply(content: dict[str, Any], setting: str) -> None:
    name, separator, value = setting.partition("=")
    if not separator or not name:
        raise RecipeError(f"a setting is section.field=value, got {setting!r}")
    *sections, last = name.split(".")
    for section in sections:
        inner = content.setdefault(section, {})
        if not isinstance(inner, dict):
            raise RecipeError(f"{name}: {section} is no section of the recipe")
        content = inner
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"the value of {setting!r} is no YAML: {error}") from error


def _explain(error: Mapping[str, Any], kind: type[BaseRecipe]) -> str:
    """Return what is wrong with a field in the words of a recipe, of one of pydantic's ``errors()``."""
    path = list(error["loc"])
    name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")
    given, context = error["input"], error.get("ctx", {})
    if error["type"] == "value_error":
        # Of our own validators: of a field, or of the whole recipe.
        return f"{name} {context['error']}".strip()
    section = _section(kind, path[:-1])
    if error["type"] == "extra_forbidden":
        return f"there is no field {name}; allowed are {', '.join(sorted(section.model_fields))}"
    if error["type"] == "missing":
        if isinstance(path[-1], int):
            return f"{name.rpartition('[')[0]} must be a longer list, got {given!r}"
        return f"the field {name} is missing"
    takes = _TAKES[error["type"]].format(**context) if error["type"] in _TAKES else f"otherwise ({error['msg']})"
    field = section.model_fields.get(str(path[-1]))
    if field is not None and NoneType in get_args(field.annotation):
        takes += " or null"
    if error["type"] == "float_type" and isinstance(given, str):
        return f"{name} must be {takes}, got {given!r}; YAML reads 1e-4 as text, write 1.0e-4"
    return f"{name} must be {takes}, got {given!r}"


def _section(section: type[Section], path: Sequence[str | int]) -> type[Section]:
    """Return the class of the section that a path of field names leads to, or the last one on the way."""
    for name in path:
        annotation = section.model_fields[name].annotation if name in section.model_fields else None
        inner = (kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type))
        section = next((kind for kind in inner if issubclass(kind, Section)), section)
    return section
