"""Spatia's memory: stored views, and one point a voxel of what they saw."""

from vmem_ros.memory.points.memory import PointMemory, PointMemoryOptions
from vmem_ros.memory.points.references import match_references

__all__ = ["PointMemory", "PointMemoryOptions", "match_references"]
