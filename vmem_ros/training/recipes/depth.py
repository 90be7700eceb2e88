"""``vmem train depth``: an image, and what memory shows of its depth, to depth with its uncertainty."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.recipes.section import NonNegative, Share

if TYPE_CHECKING:
    from accelerate import Accelerator

    from vmem_ros.training.tasks.task import Task


class DepthRecipe(BaseRecipe):
    """The training of the depth network.

    :param network: arguments of :class:`~vmem_ros.pointmaps.depth_network.DepthNetwork`.
    :param prompted: share of the samples that come with a prompt, the depth that memory shows; the others are images
        alone.
    :param prompt_scale: standard deviation of the log scale by which prompt and wanted depth both differ from the
        truth: a world that began with a wrong scale goes on with it.
    :param imperfect: share of the images that are softened as generated ones are.
    :param crop: share of the batches that are cut to a random height or width of at least half.
    :param edges: weight of errors of the differences of log depth between neighbours, at three scales.
    """

    trains: Literal["depth"] = "depth"
    network: dict[str, Any] = Field(default_factory=dict)
    prompted: Share = 0.5
    prompt_scale: NonNegative = 0.1
    imperfect: Share = 0.3
    crop: Share = 0.3
    edges: NonNegative = 1.0

    def build_task(self, *, cache: Path, accelerator: Accelerator) -> Task:
        """Return the task; see :class:`BaseRecipe`."""
        from vmem_ros.training.tasks.depth import DepthTask

        return DepthTask(self, cache=cache, accelerator=accelerator)
