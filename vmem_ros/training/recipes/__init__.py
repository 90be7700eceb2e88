"""What a training is: the fields of ``config/training/*.yaml``, each with its meaning and range."""

from vmem_ros.training.recipes.autoencoder import AutoencoderRecipe
from vmem_ros.training.recipes.depth import DepthRecipe
from vmem_ros.training.recipes.generator import GeneratorRecipe
from vmem_ros.training.recipes.lora import LoraRecipe
from vmem_ros.training.recipes.reading import TRAINABLE, Recipe, as_recipe, read_recipe

__all__ = [
    "AutoencoderRecipe",
    "DepthRecipe",
    "GeneratorRecipe",
    "LoraRecipe",
    "Recipe",
    "TRAINABLE",
    "as_recipe",
    "read_recipe",
]
