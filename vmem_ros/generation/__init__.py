"""New views from remembered ones."""

from vmem_ros.generation.composition import composite_remembered, feather
from vmem_ros.generation.reprojection import ReprojectionGenerator

__all__ = ["ReprojectionGenerator", "composite_remembered", "feather"]
