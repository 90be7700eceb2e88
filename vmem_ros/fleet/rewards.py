"""What a step is worth: a function of one :class:`Outcome`, to be replaced by a user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vmem_ros.pretrained.factories import import_factory
from vmem_ros.world import Frame


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a step.

    :param frame: what the world answered at the new pose.
    :param blocked: something was in the way, and the camera stayed where it was.
    """

    frame: Frame
    blocked: bool


Reward = Callable[[Outcome], float]


def discovery(outcome: Outcome) -> float:
    """Return the share of the picture that was drawn for the first time, 0 to 1: who explores earns most."""
    return float((outcome.frame.confidence == 0).float().mean())


def constancy(outcome: Outcome) -> float:
    """Return the mean confidence of the picture, 0 to 1: who stays with what is known earns most."""
    return float(outcome.frame.confidence.mean())


#: Rewards by name.
REWARDS: dict[str, Reward] = {"discovery": discovery, "constancy": constancy}


def load_reward(reward: str | Reward) -> Reward:
    """Return a reward: a function itself, one of :data:`REWARDS`, or ``module:function``.

    :raises ModelError: there is none of that name.
    """
    if callable(reward):
        return reward
    found: Reward = REWARDS[reward] if reward in REWARDS else import_factory(reward, what="reward")
    return found
