"""Docstrings as the site shows them: Sphinx's roles, ``:class:`View```, are links, and named tuples have parameters."""

import re

from griffe import Class, Extension, Function, GriffeError, Object, Parameter, ParameterKind, Parameters

_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod|obj):`(?:([^`<]+)\s<([^`>]+)>|([^`]+))`")


class Roles(Extension):
    """Replaces roles by links to what they name, where the reference shows it, and by code elsewhere."""

    def on_object(self, *, obj: Object, **kwargs: object) -> None:
        """See what is in the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(lambda role: _link(role, obj), obj.docstring.value)


class NamedTuples(Extension):
    """Gives named tuples the constructor that Python gives them, whose parameters their docstrings explain."""

    def on_class(self, *, cls: Class, **kwargs: object) -> None:
        """See a class with its members."""
        if any(str(base) == "NamedTuple" for base in cls.bases):
            fields = [
                Parameter(
                    name, kind=ParameterKind.positional_or_keyword, annotation=field.annotation, default=field.value
                )
                for name, field in cls.attributes.items()
            ]
            cls.set_member("__init__", Function("__init__", parameters=Parameters(*fields)))


def _link(role: "re.Match[str]", obj: Object) -> str:
    text, target, bare = role.groups()
    name = (target or bare).removeprefix("~")
    shown = text or (name.rpartition(".")[2] if bare.startswith("~") else name)
    try:
        path = obj.resolve(name)
    except (GriffeError, KeyError):
        path = name
    return f'<autoref identifier="{path}" optional><code>{shown}</code></autoref>'
