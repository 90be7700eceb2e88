"""What is to change in what a world remembers: places that are to be empty, and clouds that are to be there."""

from vmem_ros.edits.edit import Edit, Edited, pixels_in
from vmem_ros.edits.regions import Box, Region, Shell, Sphere, UnderMask

__all__ = ["Box", "Edit", "Edited", "Region", "Shell", "Sphere", "UnderMask", "pixels_in"]
