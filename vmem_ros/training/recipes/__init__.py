"""What a training is: the fields of ``config/training/*.yaml``, each with its meaning and range."""

from vmem_ros.training.recipes.autoencoder import AutoencoderRecipe
from vmem_ros.training.recipes.depth import DepthRecipe
from vmem_ros.training.recipes.gac import GacRecipe
from vmem_ros.training.recipes.generator import GeneratorRecipe
from vmem_ros.training.recipes.lora import LoraRecipe
from vmem_ros.training.recipes.mirage import MirageRecipe
from vmem_ros.training.recipes.named import named_recipe
from vmem_ros.training.recipes.reading import as_recipe, read_recipe
from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.recipes.registry import GENERATORS, TRAINABLE
from vmem_ros.training.recipes.spatia import SpatiaRecipe

__all__ = [
    "AutoencoderRecipe",
    "BaseRecipe",
    "DepthRecipe",
    "GENERATORS",
    "GacRecipe",
    "GeneratorRecipe",
    "LoraRecipe",
    "MirageRecipe",
    "SpatiaRecipe",
    "TRAINABLE",
    "as_recipe",
    "named_recipe",
    "read_recipe",
]
