"""``vmem train autoencoder``: images to latents and back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.recipes.section import NonNegative, Share

if TYPE_CHECKING:
    from accelerate import Accelerator

    from vmem_ros.training.tasks.task import Task

AutoencoderClass = Literal["AutoencoderKL", "AutoencoderTiny", "PatchAutoencoder"]


class AutoencoderRecipe(BaseRecipe):
    """The training of an autoencoder.

    :param kind: class of the autoencoder.
    :param config: arguments of that class.
    :param whitening: how alike the latents of a ``PatchAutoencoder`` are made (:meth:`PatchAutoencoder.fit`).
    :param edges: weight of errors of differences between neighbouring pixels, at three scales.
    :param kl: weight of the Kullback-Leibler term per latent, or of the squared latents where there is no distribution.
    :param latent_noise: standard deviation of noise on latents in training, as a share of theirs, so that small errors
        of the generator do not show.
    """

    trains: Literal["autoencoder"] = "autoencoder"
    kind: AutoencoderClass
    config: dict[str, Any]
    whitening: Share = 0.5
    edges: NonNegative = 1.0
    kl: NonNegative = 1e-6
    latent_noise: NonNegative = 0.0

    def build_task(self, *, cache: Path, accelerator: Accelerator) -> Task:
        """Return the task; see :class:`BaseRecipe`."""
        from vmem_ros.training.tasks.autoencoder import AutoencoderTask

        return AutoencoderTask(self, cache=cache, accelerator=accelerator)
