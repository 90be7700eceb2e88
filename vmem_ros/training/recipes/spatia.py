"""``vmem train generator --recipe spatia``: the network of Spatia."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmem_ros.training.recipes.clips import ClipRecipe, SpatiaClips

if TYPE_CHECKING:
    from accelerate import Accelerator

    from vmem_ros.training.tasks.task import Task


class SpatiaRecipe(ClipRecipe):
    """The training of Spatia's network, told what a cloud of points shows of earlier views."""

    engine: Literal["spatia"] = "spatia"
    clips: SpatiaClips = SpatiaClips()

    def build_task(self, *, cache: Path, accelerator: Accelerator) -> Task:
        """Return the task; see :class:`~vmem_ros.training.recipes.recipe.BaseRecipe`."""
        from vmem_ros.training.tasks.spatia import spatia_task

        return spatia_task(self, cache=cache, accelerator=accelerator)
