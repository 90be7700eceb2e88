"""``vmem train lora``: a low-rank adapter for the network of a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vmem_ros.training.recipes.denoising import Conditions, Loss, SampleSheets
from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.recipes.section import Count, Names, Section

if TYPE_CHECKING:
    from accelerate import Accelerator

    from vmem_ros.training.tasks.task import Task


class Adapter(Section):
    """A low-rank adapter.

    :param rank: of its matrices.
    :param alpha: the adapter is scaled by alpha / rank. ``None``: by 1.
    :param modules: names, or ends of names, of the layers that get one.
    """

    rank: Count
    alpha: float | None = None
    modules: Names = ("to_q", "to_k", "to_v", "to_out.0")


class LoraRecipe(BaseRecipe, Loss):
    """The training of an adapter.

    The fields of the loss are best those that the pipeline itself was trained with.

    :param pipeline: folder of the pipeline.
    :param checkpointing: compute activations again for the gradient: a third more work, a fraction of the memory.
    """

    trains: Literal["lora"] = "lora"
    pipeline: str
    adapter: Adapter
    checkpointing: bool = False
    conditions: Conditions = Conditions()
    sampling: SampleSheets = SampleSheets()

    def build_task(self, *, cache: Path, accelerator: Accelerator) -> Task:
        """Return the task; see :class:`BaseRecipe`."""
        from vmem_ros.training.tasks.lora import lora_task

        return lora_task(self, cache=cache, accelerator=accelerator)
