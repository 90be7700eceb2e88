"""Recipes as YAML: every field is known, of the right type and in range, or an error says what is allowed.

A recipe is a frozen dataclass whose fields may be dataclasses again. Types are checked as they are written: an integer
is taken where a number is wanted, nothing else is converted.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml

from vmem_ros.errors import RecipeError

T = TypeVar("T")


def read_recipe(path: Path | str, kind: type[T], *, settings: Sequence[str] = ()) -> T:
    """Return the recipe of a YAML file.

    :param kind: dataclass to make.
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
    return from_mapping(content, kind, where=str(path))


def from_mapping(content: Mapping[str, Any], kind: type[T], *, where: str = "recipe") -> T:
    """Return a recipe made of nested mappings; see :func:`read_recipe`."""
    return _section(content, kind, where, "")


def as_mapping(recipe: Any) -> dict[str, Any]:
    """Return a recipe as nested mappings of what JSON and YAML can hold."""
    return _plain(dataclasses.asdict(recipe))


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


def _section(content: Any, kind: type[T], where: str, prefix: str) -> T:
    if not isinstance(content, Mapping):
        raise RecipeError(f"{where}: {prefix.rstrip('.') or 'recipe'} must be a mapping of fields, got {content!r}")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(kind)
    for name in content:
        if name not in fields:
            raise RecipeError(f"{where}: there is no field {prefix}{name}; allowed are {', '.join(sorted(fields))}")
    values = {}
    for name, field in fields.items():
        if name in content:
            values[name] = _value(content[name], hints[name], where, f"{prefix}{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise RecipeError(f"{where}: the field {prefix}{name} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise RecipeError(f"{where}: {prefix}{error}") from error


def _value(value: Any, hint: Any, where: str, name: str) -> Any:
    """Return ``value`` as the type that ``hint`` asks for."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        return _section(value, hint, where, f"{name}.")  # type: ignore[arg-type]
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _value(value, hint, where, name)
    if origin is Literal:
        fits, allowed = value in arguments, f"one of {', '.join(map(str, arguments))}"
    elif origin is tuple:
        return _tuple(value, arguments, where, name)
    elif origin is dict:
        fits, allowed = isinstance(value, dict) and all(isinstance(key, str) for key in value), "a mapping"
    elif hint is float:
        fits, allowed = isinstance(value, (int, float)) and not isinstance(value, bool), "a number"
        value = float(value) if fits else value
    else:
        fits = isinstance(value, hint) and not (hint is int and isinstance(value, bool))
        allowed = {int: "a whole number", str: "text", bool: "true or false"}[hint]
    if not fits:
        hint_of_yaml = "; YAML reads 1e-4 as text, write 1.0e-4" if hint is float and isinstance(value, str) else ""
        raise RecipeError(f"{where}: {name} must be {allowed}, got {value!r}{hint_of_yaml}")
    return value


def _tuple(value: Any, arguments: tuple[Any, ...], where: str, name: str) -> tuple[Any, ...]:
    any_length = len(arguments) == 2 and arguments[1] is Ellipsis
    if not isinstance(value, (list, tuple)) or not (any_length or len(value) == len(arguments)):
        count = "a list" if any_length else f"a list of {len(arguments)}"
        raise RecipeError(f"{where}: {name} must be {count}, got {value!r}")
    kinds = arguments[:1] * len(value) if any_length else arguments
    return tuple(
        _value(entry, kind, where, f"{name}[{i}]") for i, (entry, kind) in enumerate(zip(value, kinds, strict=True))
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return value
