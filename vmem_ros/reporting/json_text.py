"""Figures as JSON, which knows neither NaN nor infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping


def as_json(record: object) -> str:
    """Return mappings, sequences and values as a JSON text.

    Unknown (NaN) becomes null, infinite (a PSNR of identical pictures) "identical".
    """
    return json.dumps(_finite(record), indent=2, allow_nan=False) + "\n"


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "identical"
    return value
