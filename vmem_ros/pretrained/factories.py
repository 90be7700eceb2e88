"""Memories, engines and estimators by name: those of the package, and ``module:factory`` of a user's own.

Each kind has a registry of :class:`Entry` by name. Modules are imported when they are asked for.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from vmem_ros.errors import ModelError


@dataclass(frozen=True)
class Entry:
    """One row of a registry.

    :param factory: ``module:name`` of a callable.
    :param options: ``module:name`` of the frozen dataclass of its options, which it takes as its first argument.
    :param extra: what ``pip install`` needs if the module cannot be imported.
    """

    factory: str
    options: str
    extra: str = ""


def import_factory(name: str, *, what: str, extra: str = "") -> Any:
    """Return what ``module:name`` names.

    :param what: what is being chosen, for the message: ``engine``, say.
    :param extra: packages to install if the import fails.
    :raises ModelError: it cannot be imported, or the module has no such name.
    """
    module, separator, attribute = name.partition(":")
    if not separator or not module or not attribute:
        raise ModelError(f"{what} = {name!r} is no 'module:factory'")
    remedy = f": pip install {extra}" if extra else ""
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"{what} = {name!r} cannot be imported: {error}{remedy}") from error


def make(
    registry: Mapping[str, Entry], name: str, *, what: str, arguments: Mapping[str, Any], options: Mapping[str, Any]
) -> Any:
    """Return what the factory of a name makes.

    A factory of the registry is called with its options as one dataclass, ``module:factory`` of a user's own with each
    of them as a keyword.

    :param what: what is being chosen, for messages.
    :param arguments: keywords that every factory takes, such as the device.
    :param options: values by name.
    :raises ModelError: an unknown name, an option that it does not have or that is out of range, or the import fails.
    """
    if name not in registry:
        if ":" not in name:
            raise ModelError(
                f"{what} = {name!r} is unknown: use {', '.join(registry)}, or 'module:factory' of your own"
            )
        factory: Callable[..., Any] = import_factory(name, what=what)
        return _called(lambda: factory(**arguments, **options), f"{what} = {name!r}", options)
    entry = registry[name]
    kind = import_factory(entry.options, what=what, extra=entry.extra)
    allowed = [field.name for field in dataclasses.fields(kind)]
    if unknown := sorted(set(options) - set(allowed)):
        known = f"it has {', '.join(allowed)}" if allowed else "it has none"
        raise ModelError(f"{what} {name!r} has no option {', '.join(unknown)}: {known}")
    factory = import_factory(entry.factory, what=what, extra=entry.extra)
    return _called(lambda: factory(kind(**options), **arguments), f"{what} = {name!r}", options)


def has_option(registry: Mapping[str, Entry], name: str, option: str) -> bool:
    """Return whether what the registry knows by this name has an option; of a user's own nobody knows."""
    if name not in registry:
        return False
    kind = import_factory(registry[name].options, what=name, extra=registry[name].extra)
    return option in {field.name for field in dataclasses.fields(kind)}


def _called(call: Callable[[], Any], name: str, options: Mapping[str, Any]) -> Any:
    try:
        return call()
    except (TypeError, ValueError) as error:
        raise ModelError(f"{name} cannot be made with {dict(options)}: {error}") from error
