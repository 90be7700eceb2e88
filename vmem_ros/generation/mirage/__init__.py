"""Mirage's generator: a video network that is told which latents of the world memory has at each frame."""

from vmem_ros.generation.mirage.generator import MirageGenerator
from vmem_ros.generation.mirage.options import Visibility
from vmem_ros.generation.mirage.scene import Scene, scene_control

__all__ = ["MirageGenerator", "Scene", "Visibility", "scene_control"]
