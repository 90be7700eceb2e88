"""What a caller asks of the drawing, whatever the engine: the node and the command line ask all of them in one way."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

_Asked = TypeVar("_Asked")


def requested(kind: type[_Asked], asked: Any) -> _Asked:
    """Return a request of a kind (a dataclass, all of whose fields may be ``None``: as the model draws by itself).

    :param asked: one, its fields by name, or what has such fields. What is ``None`` is not asked for.
    :raises ValueError: a field that this kind does not have, or a value out of range.
    """
    if isinstance(asked, kind):
        return asked
    fields = asked if isinstance(asked, Mapping) else vars(asked)
    wanted = {name: value for name, value in fields.items() if value is not None}
    known = [each.name for each in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if unknown := sorted(set(wanted) - set(known)):
        raise ValueError(f"sampling has no {', '.join(unknown)}: it has {', '.join(known)}")
    return kind(**wanted)
