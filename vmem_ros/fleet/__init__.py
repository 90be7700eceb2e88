"""Many worlds: the Gymnasium environment ``vmem_ros/World-v0``, and worlds, their generators and evaluations on Ray.

Importing it registers the environment and imports neither Ray nor torch.
"""

from vmem_ros.extras import needs_extra

with needs_extra("fleet", "vmem_ros.fleet"):
    import gymnasium

#: Name of the environment for ``gymnasium.make``.
ENVIRONMENT = "vmem_ros/World-v0"
#: Steps of an episode, unless ``gymnasium.make`` is told another ``max_episode_steps``.
MAX_EPISODE_STEPS = 100

gymnasium.register(
    id=ENVIRONMENT,
    entry_point="vmem_ros.fleet.environment:WorldEnvironment",
    max_episode_steps=MAX_EPISODE_STEPS,
)

__all__ = ["ENVIRONMENT", "MAX_EPISODE_STEPS"]
