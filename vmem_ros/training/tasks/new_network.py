"""New networks of recipes, and weights of earlier ones to start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from vmem_ros.errors import RecipeError
from vmem_ros.training.tasks.autoencoder_classes import build


def build_network(
    cls: Any, config: Mapping[str, Any], computed: Mapping[str, Any], *, follows_from: str = "the autoencoder"
) -> Any:
    """Return ``cls(**config, **computed)``.

    :param config: the section ``network`` of a recipe.
    :param computed: fields that it may not set, for they follow from something else.
    :raises RecipeError: it sets one of these, or a field that does not exist, or the class takes no such values.
    """
    if taken := sorted(set(config) & set(computed)):
        raise RecipeError(f"network.{taken[0]} is not to be set: it follows from {follows_from}")
    return build(cls, {**config, **computed}, section="network", given=tuple(computed))


def check_views(network_multiple: int, size: tuple[int, int]) -> None:
    """Raise :class:`RecipeError` unless views of a size can be drawn.

    :param network_multiple: sides of images are multiples of it, in pixels.
    """
    if any(side % network_multiple for side in size):
        raise RecipeError(f"data.size must be multiples of {network_multiple} for this network, got {list(size)}")


def copy_weights(network: nn.Module, folder: str, read: Callable[[str], nn.Module]) -> None:
    """Make a network begin with the weights of another.

    :param read: returns the network of the pipeline in a folder.
    :raises RecipeError: it has other layers.
    :raises ModelError: the pipeline cannot be loaded.
    """
    try:
        network.load_state_dict(read(folder).state_dict())
    except RuntimeError as error:
        raise RecipeError(
            f"the training cannot start from the network of {folder}: give the fields of network that its training had "
            f"({error})"
        ) from error
