"""Two rooms of a procedural house: what the examples show to a camera, and where they look then."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor
from tqdm import tqdm

from vmem_ros.geometry import Camera
from vmem_ros.nodes.client import CameraClient
from vmem_ros.showcase.scenario import Scenario, house_scenario
from vmem_ros.types import View

_HOUSE, _STOPS, _POSES = 1_000_013, 2, 24
# A large model takes its time to load.
_LOADED_S = 600.0


class Rooms:
    """The rooms, the views that a robot took of them, and poses where it was not.

    :param width: of views in pixels; their aspect ratio is 3 : 2.
    """

    def __init__(self, width: int) -> None:
        self._scenario: Scenario = house_scenario(_HOUSE, views=_POSES, width=width, stops=_STOPS)
        #: Of all views.
        self.camera: Camera = self._scenario.robot[0].camera
        #: ``T_world_camera`` along a loop through both rooms.
        self.loop: list[Tensor] = [target.T_world_camera for target in self._scenario.ask(0.0).path]

    def views(self) -> Sequence[View]:
        """Return what the robot's camera saw: picture, depth and pose, three at each stop."""
        targets = tqdm(self._scenario.robot, desc="the robot's camera", unit="view")
        return [self._scenario.observe(target) for target in targets]

    def show(self, client: CameraClient) -> None:
        """Put the robot's views into an empty world, and give the camera the robot's lens; blocks."""
        if client.wait_until_ready(timeout_s=_LOADED_S).seeded:
            print("the world holds views already, which stay")
        else:
            for view in self.views():
                depth = None if view.depth is None else np.asarray(view.depth)
                client.add_view(np.asarray(view.image), view.camera, view.T_world_camera, depth=depth)
        client.set_camera(self.camera)
