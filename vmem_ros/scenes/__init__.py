"""Procedural houses with exact pictures, depth and poses, for tests, the demo, training and evaluation."""

from vmem_ros.scenes.house import EVALUATION_SEEDS, TRAINING_SEEDS, House
from vmem_ros.scenes.layout import Door, Room, Window
from vmem_ros.scenes.render import RenderedHouse
from vmem_ros.scenes.time_of_day import TimeOfDay

__all__ = ["EVALUATION_SEEDS", "TRAINING_SEEDS", "Door", "House", "RenderedHouse", "Room", "TimeOfDay", "Window"]
