"""``vmem train generator``: the multi-view U-Net of a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import model_validator

from vmem_ros.generation.vmem.room_filling import HoleFilling
from vmem_ros.training.recipes.denoising import AdversarialLoss, Conditions, Diffusion, SampleSheets
from vmem_ros.training.recipes.recipe import BaseRecipe

if TYPE_CHECKING:
    from accelerate import Accelerator

    from vmem_ros.training.tasks.task import Task


class GeneratorRecipe(BaseRecipe):
    """The training of a generator.

    :param engine: what draws with the network; others have recipes of their own
        (:mod:`vmem_ros.training.recipes.registry`).
    :param autoencoder: folder of a trained autoencoder, or the name of a model of the package, for its.
    :param network: arguments of ``MultiviewUNet``; its channels follow from the autoencoder.
    :param start: folder of a pipeline whose network the training starts from, say one trained on smaller views, which
        takes a fraction of the time. ``None``: from nothing.
    :param projection: whether the network is told what memory shows at the targets.
    :param residual: whether it predicts differences to that.
    :param hole_filling: what is put into the holes of the projection: colours from around them, or those of the
        surfaces of a room.
    :param adversary: a network to train against; needs errors of pixels. ``None``: no adversary.
    """

    trains: Literal["generator"] = "generator"
    engine: Literal["vmem"] = "vmem"
    autoencoder: str
    network: dict[str, Any]
    start: str | None = None
    projection: bool = True
    residual: bool = False
    hole_filling: HoleFilling = "smooth"
    adversary: AdversarialLoss | None = None
    diffusion: Diffusion = Diffusion()
    conditions: Conditions = Conditions()
    sampling: SampleSheets = SampleSheets()

    @model_validator(mode="after")
    def _check_what_needs_what(self) -> GeneratorRecipe:
        if self.residual and not self.projection:
            raise ValueError("residual: true needs projection: true")
        if self.adversary and not (self.projection and self.diffusion.error == "pixels"):
            raise ValueError("an adversary needs projection: true and diffusion.error: pixels")
        return self

    def build_task(self, *, cache: Path, accelerator: Accelerator) -> Task:
        """Return the task; see :class:`BaseRecipe`."""
        from vmem_ros.training.tasks.generator import generator_task

        return generator_task(self, cache=cache, accelerator=accelerator)
