"""Frames of real cameras, put into the memory; their poses are corrected first, where ``seed.refine_pose`` says so."""

from __future__ import annotations

from vmem_ros.messages.observed_view import ObservedView
from vmem_ros.nodes.camera.core import Core
from vmem_ros.types import MAX_DEPTH_M
from vmem_ros.world import World

# A camera that sends them does so in every frame: it is said again after so long.
_QUIET_S = 60.0


class Observing:
    """What ``seed/*`` and ``~/add_view`` share."""

    def __init__(self, core: Core) -> None:
        self._core = core
        #: How many poses were corrected, and how many stayed as given although they were to be refined.
        self.corrected = 0
        self.kept = 0
        #: What became of the last of them, in words.
        self.last_refinement = ""
        #: Pixels of all frames whose depth was none that a camera measures.
        self.absurd_depths = 0

    def observe(self, world: World, seen: ObservedView) -> None:
        """Put a frame into the memory; in the worker's thread."""
        self._note_absurd_depths(seen)
        refine = self._core.parameters["seed.refine_pose"] == "icp"
        refinement = world.observe(seen.view, mask=seen.mask, refine=refine)
        if refinement is None:
            return
        self.corrected += refinement.accepted
        self.kept += not refinement.accepted
        self.last_refinement = str(refinement)
        self._core.node.get_logger().info(f"view {len(world)}: {refinement}")

    def _note_absurd_depths(self, seen: ObservedView) -> None:
        if not seen.absurd_depth:
            return
        self.absurd_depths += seen.absurd_depth
        self._core.node.get_logger().warning(
            f"{seen.absurd_depth} of {seen.view.image[..., 0].numel()} pixels of a frame had a depth beyond "
            f"{MAX_DEPTH_M / 1000:g} km and are taken as unknown: drivers should send NaN or 0 there (REP-117)",
            throttle_duration_sec=_QUIET_S,
        )
