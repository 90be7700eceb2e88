"""The section ``data``, which every recipe has: the walks through procedural houses that a network is trained on."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from vmem_ros.scenes import TimeOfDay
from vmem_ros.training.recipes.section import Count, FloatPair, Index, Section, Share, Size, rising


class Data(Section):
    """Walks through procedural houses, remembered on the way (:mod:`vmem_ros.training.data.house_walks`).

    Training goes through ever new walks: sample n is drawn from the newest ``window`` walks of the first
    ``first_walks + n / samples_per_walk``. That also bounds the cache.

    :param size: height and width of the views in pixels.
    :param fov_deg: range of the horizontal field of view in degrees.
    :param step_m: range of the distance between views of a random walk in metres.
    :param chunks: chunks of a walk, each of ``chunk`` views.
    :param chunk: views that memory is read for at once.
    :param supersample: rays per pixel and axis.
    :param walks_per_house: walks through one house; the light of a house takes as long to compute as 60 views of it.
    :param time_of_day: of the houses: another style of light for an adapter to learn.
    :param remembered: range, over walks, of the share of chunks that are written to memory; less makes larger holes.
    :param imperfect: share of the remembered views that are blurred and whose depth is wrong, as in generated views.
    :param workers: processes that make walks; 0: the training process makes them when it needs them.
    """

    size: Size = (128, 128)
    fov_deg: Annotated[FloatPair, AfterValidator(rising(20, 120))] = (60.0, 80.0)
    step_m: Annotated[FloatPair, AfterValidator(rising(0.01, 2))] = (0.15, 0.5)
    chunks: Count = 12
    chunk: Count = 4
    supersample: Count = 1
    walks_per_house: Count = 2
    time_of_day: TimeOfDay = "day"
    remembered: Annotated[FloatPair, AfterValidator(rising(0, 1))] = (0.3, 1.0)
    imperfect: Share = 0.5
    window: Count = 2000
    samples_per_walk: Count = 12
    first_walks: Count = 16
    workers: Index = 1
