"""``vmem train generator --recipe mirage``: the network of Mirage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmem_ros.training.recipes.clips import ClipRecipe, MirageClips

if TYPE_CHECKING:
    from accelerate import Accelerator

    from vmem_ros.training.tasks.task import Task


class MirageRecipe(ClipRecipe):
    """The training of Mirage's network, told which latents of earlier views memory has at each target."""

    engine: Literal["mirage"] = "mirage"
    clips: MirageClips = MirageClips()

    def build_task(self, *, cache: Path, accelerator: Accelerator) -> Task:
        """Return the task; see :class:`~vmem_ros.training.recipes.recipe.BaseRecipe`."""
        from vmem_ros.training.tasks.mirage import mirage_task

        return mirage_task(self, cache=cache, accelerator=accelerator)
