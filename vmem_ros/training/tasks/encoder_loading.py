"""What encodes the walks of a training, loaded in every process that makes data."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vmem_ros.generation.vmem.pipeline_folder import read_networks
from vmem_ros.generation.vmem.room_filling import HoleFilling
from vmem_ros.training.data.latent_walks import Encoder
from vmem_ros.training.tasks.autoencoder_classes import load_autoencoder


@dataclass(frozen=True)
class EncoderLoader:
    """Loads an encoder; picklable.

    :param parts: returns the autoencoder ``vae`` and, if there is one, the ``image_encoder``.
    """

    parts: Callable[[], dict[str, Any]]
    device: str
    hole_filling: HoleFilling

    @classmethod
    def of_autoencoder(cls, folder: str, device: str, hole_filling: HoleFilling) -> EncoderLoader:
        """Return the loader for a new pipeline, of which only the autoencoder is there."""
        return cls(functools.partial(_read_autoencoder, folder), device, hole_filling)

    @classmethod
    def of_pipeline(cls, folder: str, device: str, hole_filling: HoleFilling) -> EncoderLoader:
        """Return the loader for a pipeline in a folder, whose large network stays there."""
        return cls(functools.partial(read_networks, folder, "vae", "image_encoder"), device, hole_filling)

    def __call__(self) -> Encoder:
        parts = {name: part.to(self.device) for name, part in self.parts().items()}
        return Encoder(parts["vae"], parts.get("image_encoder"), hole_filling=self.hole_filling)


def _read_autoencoder(folder: str) -> dict[str, Any]:
    return {"vae": load_autoencoder(folder)}
