"""World files that cost nothing: a few views of the analytic room."""

from pathlib import Path

from rooms import box_view, orbit
from vmem_ros.geometry import Camera
from vmem_ros.scenes.headings import turn_about_vertical
from vmem_ros.types import Target
from vmem_ros.world import default_world

CAMERA = Camera.from_fov(48, 36, 80)


def save_small_world(path: Path, views: int = 3) -> Path:
    """Save a world with the first views of a round through the analytic room, and return its path."""
    world = default_world()
    for T in orbit(16)[:views]:
        world.observe(box_view(CAMERA, T))
    world.save(path)
    return path


def look_around(start: Target, number: int) -> list[Target]:
    """Return two targets on the spot, turned on by the number of the request."""
    angles = (0.5 * number, 0.5 * number + 0.2)
    return [Target(start.camera, turn_about_vertical(start.T_world_camera, angle)) for angle in angles]
