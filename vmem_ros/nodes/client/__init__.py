"""What a planner imports: :class:`CameraClient`, and the types of its answers."""

from vmem_ros.nodes.client.answers import Feedback, Rendering, SavedWorld
from vmem_ros.nodes.client.client import CameraClient
from vmem_ros.nodes.client.cloud_reading import PointCloud
from vmem_ros.nodes.client.imagining import PathAhead, ViewAhead
from vmem_ros.nodes.client.pose_stamps import PoseLike
from vmem_ros.nodes.client.tasks import Task
from vmem_ros.nodes.client.view_assembly import CapturedView

__all__ = [
    "CameraClient",
    "CapturedView",
    "Feedback",
    "PathAhead",
    "PointCloud",
    "PoseLike",
    "Rendering",
    "SavedWorld",
    "Task",
    "ViewAhead",
]
