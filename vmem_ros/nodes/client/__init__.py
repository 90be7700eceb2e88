"""What a planner imports: :class:`CameraClient`, and the types of its answers."""

from vmem_ros.nodes.client.client import CameraClient, Feedback, PoseLike, Rendering, SavedWorld
from vmem_ros.nodes.client.view_assembly import CapturedView

__all__ = ["CameraClient", "CapturedView", "Feedback", "PoseLike", "Rendering", "SavedWorld"]
