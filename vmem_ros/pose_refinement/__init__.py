"""Poses of camera frames that are a little off, corrected by what memory shows: frame to model, depth and colour."""

from vmem_ros.pose_refinement.options import PoseRefinementOptions
from vmem_ros.pose_refinement.refine import Refinement, refine_pose, summary_of

__all__ = ["PoseRefinementOptions", "Refinement", "refine_pose", "summary_of"]
