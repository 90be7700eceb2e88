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


def import_factory(name: str, *, what: str) -> Any:
    """Return what ``module:name`` names.

    :param what: what is being chosen, for the message: ``engine``, say.
    :raises ModelError: it cannot be imported, or the module has no such name.
    """
    module, separator, attribute = name.partition(":")
    if not separator or not module or not attribute:
        raise ModelError(f"{what} = {name!r} is no 'module:factory'")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"{what} = {name!r} cannot be imported: {error}") from error


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
    kind = _of_package(entry.options, entry, f"{what} = {name!r}")
    allowed = [field.name for field in dataclasses.fields(kind)]
    if unknown := sorted(set(options) - set(allowed)):
        known = f"it has {', '.join(allowed)}" if allowed else "it has none"
        raise ModelError(f"{what} {name!r} has no option {', '.join(unknown)}: {known}")
    factory = _of_package(entry.factory, entry, f"{what} = {name!r}")
    return _called(lambda: factory(kind(**options), **arguments), f"{what} = {name!r}", options)


def has_option(registry: Mapping[str, Entry], name: str, option: str) -> bool:
    """Return whether what the registry knows by this name has an option; of a user's own nobody knows."""
    if name not in registry:
        return False
    kind = _of_package(registry[name].options, registry[name], name)
    return option in {field.name for field in dataclasses.fields(kind)}


def _of_package(path: str, entry: Entry, name: str) -> Any:
    """Return what an entry names; what cannot be imported is a package that it needs."""
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        remedy = f": pip install {entry.extra}" if entry.extra else ""
        raise ModelError(f"{name} needs a package that cannot be imported ({error}){remedy}") from error


def _called(call: Callable[[], Any], name: str, options: Mapping[str, Any]) -> Any:
    try:
        return call()
    except (TypeError, ValueError) as error:
        raise ModelError(f"{name} cannot be made with {dict(options)}: {error}") from error
