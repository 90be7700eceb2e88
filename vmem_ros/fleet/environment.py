"""The Gymnasium environment ``vmem_ros/World-v0``: a camera in a world that is imagined where nobody looked yet."""

from __future__ import annotations

import math
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vmem_ros.fleet.actions import ActionKind, actions_of
from vmem_ros.fleet.observations import Observation, as_observation, observation_space
from vmem_ros.fleet.rewards import Outcome, Reward, load_reward
from vmem_ros.fleet.sources import Start
from vmem_ros.fleet.world_setup import WorldSetup
from vmem_ros.types import Target

# A world draws with another seed at each step; seeds of torch have more bits than NumPy gives at once.
_SEEDS = 2**31


class WorldEnvironment(gymnasium.Env[Observation, NDArray]):
    """One world, seen by one camera that an agent moves.

    An episode begins at a random place of where worlds begin, and a step draws one view. Equal seeds give equal
    episodes. Observations are those of :func:`~vmem_ros.fleet.observations.observation_space`; ``info`` has
    ``blocked`` (something was in the way and the camera stayed), ``reused`` (the view is a stored one) and ``views``
    (how many the world has). Nothing ends an episode but the number of steps.

    :param action: ``motion`` (:class:`~vmem_ros.fleet.actions.MotionActions`) or ``pose``
        (:class:`~vmem_ros.fleet.actions.PoseActions`).
    :param step_m: of motions, see there, as ``turn_rad``.
    :param reward: a function, one of :data:`~vmem_ros.fleet.rewards.REWARDS`, or ``module:function``.
    :param setup: fields of :class:`~vmem_ros.fleet.world_setup.WorldSetup`: where worlds begin, what draws them.
    :raises ParameterError: a value that is none.
    :raises VmemError: a model or a file cannot be used.
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012, as Gymnasium has it

    def __init__(
        self,
        *,
        action: ActionKind = "motion",
        step_m: float = 0.25,
        turn_rad: float = math.pi / 6,
        reward: str | Reward = "discovery",
        render_mode: str | None = None,
        **setup: Any,
    ) -> None:
        self._actions = actions_of(action, step_m=step_m, turn_rad=turn_rad)
        self._reward = load_reward(reward)
        chosen = WorldSetup.from_options(setup)
        self._source = chosen.open_source(chosen.load_generator())
        self._start: Start | None = None
        self._pose: Tensor | None = None
        self._picture: NDArray | None = None
        self.render_mode = render_mode
        self.observation_space = observation_space(self._source.camera)
        self.action_space = self._actions.space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode; the first observation is what the world remembers at its start.

        :param options: none are known.
        """
        super().reset(seed=seed)
        self._release()
        self._start = self._source.begin(self.np_random)
        self._pose = self._start.T_world_camera
        shown = self._start.world.glimpse(Target(self._source.camera, self._pose))
        observation = as_observation(shown.image, shown.depth, shown.confidence, self._pose)
        self._picture = observation["image"]
        return observation, self._info(blocked=False, reused=True)

    def step(self, action: NDArray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Move, and see what is there; see the class.

        :raises InvalidPoseError: an action outside its space; nothing has changed.
        :raises gymnasium.error.ResetNeeded: before the first :meth:`reset`.
        """
        if self._start is None or self._pose is None:
            raise gymnasium.error.ResetNeeded("call reset() before the first step()")
        wanted = self._actions.pose_after(action, self._pose)
        blocked = not self._start.is_free(self._pose if self._actions.travels else wanted, wanted)
        pose = self._pose if blocked else wanted
        target = Target(self._source.camera, pose)
        (frame,) = self._start.world.explore([target], seed=int(self.np_random.integers(_SEEDS)))
        self._pose = pose
        observation = as_observation(frame.view.image, frame.view.depth, frame.confidence, pose)
        self._picture = observation["image"]
        reward = float(self._reward(Outcome(frame, blocked)))
        return observation, reward, False, False, self._info(blocked=blocked, reused=frame.reused)

    def render(self) -> NDArray[np.uint8] | None:
        """Return the picture of the last observation, [H, W, 3] uint8, if ``render_mode`` is ``rgb_array``."""
        return self._picture if self.render_mode == "rgb_array" else None

    def close(self) -> None:
        """Give the world up."""
        self._release()

    def _info(self, *, blocked: bool, reused: bool) -> dict[str, Any]:
        assert self._start is not None, "an episode has begun"
        return {"blocked": blocked, "reused": reused, "views": len(self._start.world)}

    def _release(self) -> None:
        if self._start is not None:
            self._start.world.release()
        self._start = self._pose = None
