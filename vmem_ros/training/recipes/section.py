"""What recipes and their sections are made of: pydantic models that refuse unknown fields and wrong types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict

Count = Annotated[int, Field(ge=1)]
Index = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
# YAML has lists where Python has tuples.
FloatPair = Annotated[tuple[float, float], Strict(False)]
CountPair = Annotated[tuple[Count, Count], Strict(False)]
Size = CountPair
Names = Annotated[tuple[str, ...], Strict(False), Field(min_length=1)]


class Section(BaseModel):
    """Fields of a recipe that belong together.

    Types are checked as they are written: an integer is taken where a number is wanted, nothing else is converted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def rising(least: float, most: float) -> Callable[[tuple[float, float]], tuple[float, float]]:
    """Return a validator of two numbers, the first no larger than the second, from ``least`` to ``most``."""

    def check(values: tuple[float, float]) -> tuple[float, float]:
        if not least <= values[0] <= values[1] <= most:
            raise ValueError(f"must be two rising numbers between {least:g} and {most:g}, got {list(values)}")
        return values

    return check
