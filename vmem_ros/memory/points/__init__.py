"""Spatia's memory: stored views, and one point a voxel of what they saw."""

from vmem_ros.memory.points.clouds import Convention, render_points, shared_points, voxel_means
from vmem_ros.memory.points.memory import PointMemory, PointMemoryOptions
from vmem_ros.memory.points.references import match_references

__all__ = [
    "Convention",
    "PointMemory",
    "PointMemoryOptions",
    "match_references",
    "render_points",
    "shared_points",
    "voxel_means",
]
