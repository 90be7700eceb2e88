"""What a planner imports: :class:`CameraClient`, and the types of its answers."""

from vmem_ros.nodes.client.answers import Feedback, Rendering, SavedWorld
from vmem_ros.nodes.client.client import CameraClient, PoseLike
from vmem_ros.nodes.client.view_assembly import CapturedView

__all__ = ["CameraClient", "CapturedView", "Feedback", "PoseLike", "Rendering", "SavedWorld"]
