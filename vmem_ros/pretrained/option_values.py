"""Options of memories and engines as people type them: ``NAME=VALUE`` on a command line, YAML in a parameter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from vmem_ros.errors import ModelError


def options_from_pairs(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the options of ``NAME=VALUE`` texts; a value is read as YAML: ``3``, ``true``, ``[1, 2]``, ``{a: 1}``.

    :raises ModelError: a text without ``=``, a name given twice, or a value that is no YAML.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name.isidentifier():
            raise ModelError(f"{pair!r} is no option: write NAME=VALUE")
        if name in options:
            raise ModelError(f"option {name} is given twice: {options[name]!r} and {value!r}")
        options[name] = _yaml(value, pair)
    return options


def options_from_yaml(text: str) -> dict[str, Any]:
    """Return the options of a YAML mapping such as ``{steps: 4, prompt: a room}``; none of an empty text.

    :raises ModelError: not a mapping with names for keys.
    """
    options = _yaml(text, text)
    if options is None:
        return {}
    if not isinstance(options, dict) or not all(isinstance(key, str) and key.isidentifier() for key in options):
        raise ModelError(f"{text!r} are no options: write a YAML mapping such as '{{name: value}}'")
    return options


def _yaml(text: str, shown: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ModelError(f"{shown!r} cannot be read as YAML: {' '.join(str(error).split())}") from error
