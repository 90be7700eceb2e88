"""Autoencoders by name, and from folders."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any, get_args

from diffusers import AutoencoderKL, AutoencoderTiny

from vmem_ros.errors import ModelError, RecipeError
from vmem_ros.generation.vmem.patch_autoencoder import PatchAutoencoder
from vmem_ros.pretrained.components import load_component
from vmem_ros.pretrained.shipped import SHIPPED_MODELS, check_manifest, shipped_folder
from vmem_ros.training.recipes.autoencoder import AutoencoderClass

_CLASSES: dict[str, Any] = {
    "AutoencoderKL": AutoencoderKL,
    "AutoencoderTiny": AutoencoderTiny,
    "PatchAutoencoder": PatchAutoencoder,
}


def make_autoencoder(kind: AutoencoderClass, config: dict[str, Any]) -> Any:
    """Return a new autoencoder.

    :raises RecipeError: a field that the class does not have, or values that it cannot be built with.
    """
    return build(_CLASSES[kind], config, section="config")


def load_autoencoder(folder: Path | str) -> Any:
    """Return the autoencoder of a folder that ``vmem train autoencoder`` or ``save_pretrained`` wrote.

    :param folder: or one of :data:`~vmem_ros.pretrained.shipped.SHIPPED_MODELS`, for the autoencoder of that model.
    :raises ModelError: missing, damaged or of another class.
    """
    if folder in SHIPPED_MODELS:
        model = shipped_folder(str(folder))
        check_manifest(model)
        folder = model / "vae"
    path = Path(folder) / "config.json"
    try:
        name = json.loads(path.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"there is no autoencoder in {folder} ({error}): train one with `vmem train autoencoder`, and give its "
            "folder as autoencoder of the recipe"
        ) from error
    if name not in get_args(AutoencoderClass):
        raise ModelError(f"{folder} holds a {name}; allowed are {', '.join(get_args(AutoencoderClass))}")
    return load_component(_CLASSES[name], folder)


def build(cls: Any, config: dict[str, Any], *, section: str, given: tuple[str, ...] = ()) -> Any:
    """Return ``cls(**config)``, or raise :class:`RecipeError` that says which fields it has.

    :param section: of the recipe, for the message.
    :param given: fields that the recipe may not set.
    """
    allowed = [name for name in inspect.signature(cls.__init__).parameters if name not in ("self", "kwargs", *given)]
    unknown = sorted(set(config) - set(allowed) - set(given))
    if unknown:
        raise RecipeError(f"there is no field {section}.{unknown[0]}; {cls.__name__} has {', '.join(allowed)}")
    try:
        return cls(**config)
    except (TypeError, ValueError, ModelError, RuntimeError) as error:
        raise RecipeError(f"{section} is no configuration of {cls.__name__}: {error}") from error
