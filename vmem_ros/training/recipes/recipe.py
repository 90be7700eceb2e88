"""What all recipes have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from vmem_ros.training.recipes.data import Data
from vmem_ros.training.recipes.optimisation import Optimisation, Reporting
from vmem_ros.training.recipes.section import Index, Section

if TYPE_CHECKING:
    from accelerate import Accelerator

    from vmem_ros.training.tasks.task import Task


class BaseRecipe(Section, ABC):
    """One training: what is trained, on what, and how.

    :param trains: what is trained; files may leave it to ``vmem train`` to say it.
    :param seed: equal seeds make equal trainings.
    """

    trains: str
    seed: Index = 0
    optimisation: Optimisation
    data: Data = Data()
    reporting: Reporting = Reporting()

    @abstractmethod
    def build_task(self, *, cache: Path, accelerator: Accelerator) -> Task:
        """Return what the training loop needs: the network, its loss, its sample sheets.

        Implementations import what they build here: diffusers takes seconds, and a mistyped field is found before.

        :param cache: folder of walks through houses, shared by all trainings.
        :raises RecipeError: a field that does not fit the network.
        :raises ModelError: a model that the recipe names cannot be loaded.
        """
