"""Pictures for a library of exemplars: of procedural houses, or of what a camera recorded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from torch import Tensor

from vmem_ros.files import atomic_file
from vmem_ros.generation.exemplars import FILE, ExemplarLibrary
from vmem_ros.generation.resizing import resize_image
from vmem_ros.geometry import Camera
from vmem_ros.pretrained.shipped import EXEMPLARS
from vmem_ros.scenes import TRAINING_SEEDS, House
from vmem_ros.training.data.house_walks import HEIGHT_M, PITCH_RAD
from vmem_ros.training.recipes.data import Data
from vmem_ros.training.shipping.writing import write_model

# Metres between pictures of one house, where turning counts as moving: so that they show different things.
_STEP_M, _SUPERSAMPLE = 1.0, 2


def house_pictures(side: int, *, per_house: int, first_house: int = 0) -> Iterator[Tensor]:
    """Yield pictures [side, side, 3] uint8 of training houses, some of each, without end.

    Camera, height and tilt differ from house to house, as in trainings.
    """
    for seed in TRAINING_SEEDS[first_house:]:
        house, rng = House(seed), np.random.default_rng((seed, 17))
        height, pitch = float(rng.uniform(*HEIGHT_M)), float(rng.uniform(*PITCH_RAD))
        poses = house.random_walk(max(2, per_house), 0, step=_STEP_M, height=height, pitch=pitch)[:per_house]
        camera = Camera.from_fov(side, side, float(rng.uniform(*Data().fov_deg)))
        yield from house.render_batch(camera, poses, supersample=_SUPERSAMPLE).image


def square(picture: Tensor, side: int) -> Tensor:
    """Return the middle of a picture [H, W, 3] uint8 as a square [side, side, 3]."""
    height, width = picture.shape[:2]
    least = min(height, width)
    top, left = (height - least) // 2, (width - least) // 2
    return resize_image(picture[top : top + least, left : left + least].contiguous(), (side, side))


def save_library(path: Path, pictures: Iterator[Tensor], *, count: int, quality: int) -> int:
    """Write a library of at most ``count`` pictures, whole or not at all, and return its bytes."""
    library = ExemplarLibrary.of(islice(pictures, count), quality=quality)
    with atomic_file(path) as new:
        library.save(new)
    return path.stat().st_size


def ship_library(pictures: Iterator[Tensor], *, count: int, quality: int, command: str) -> int:
    """Replace the library of the package and return its bytes; on any error what was there stays.

    :raises ModelError: it is larger than a package may hold.
    """
    library = ExemplarLibrary.of(islice(pictures, count), quality=quality)
    return write_model(EXEMPLARS, lambda new: library.save(new / FILE), lambda _: _card(library, command), records=())


def _card(library: ExemplarLibrary, command: str) -> str:
    return "\n".join(
        [
            f"# {EXEMPLARS}",
            "",
            f"{len(library):,} pictures of {library.side} x {library.side} of training houses (docs/houses.md). One "
            "that fits lends its details to what the small model draws where nobody has looked "
            "(`vmem_ros/generation/exemplars`). No evaluation house is among them.",
            "",
            "Made by",
            "",
            f"    {command}",
            "",
        ]
    )
