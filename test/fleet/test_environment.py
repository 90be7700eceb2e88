"""The Gymnasium environment: what Gymnasium asks of one, equal episodes, every kind of beginning, every refusal."""

import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from PIL import Image

import vmem_ros.fleet
from rooms import box_view, orbit
from small_worlds import CAMERA, save_small_world
from vmem_ros.errors import InvalidPoseError, ModelError, ParameterError, WorldFileError
from vmem_ros.fleet.rewards import Outcome
from vmem_ros.recordings.posed_folder_writer import write_posed_folder


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> str:
    return str(save_small_world(tmp_path_factory.mktemp("world") / "room.world"))


def make(world=None, **options):
    return gymnasium.make(vmem_ros.fleet.ENVIRONMENT, engine="reprojection", world=world, **options)


def episode(env, seed, steps=4):
    """Observations and rewards of an episode whose actions are drawn from the seed, too."""
    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    seen, rewards = [observation], []
    for _ in range(steps):
        observation, reward, *_ = env.step(env.action_space.sample())
        seen.append(observation)
        rewards.append(reward)
    return seen, rewards


def assert_equal_episodes(one, other):
    assert one[1] == other[1]
    for a, b in zip(one[0], other[0], strict=True):
        assert all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("action", ["motion", "pose"])
@pytest.mark.filterwarnings("ignore:.*symmetric and normalized space")
@pytest.mark.filterwarnings("ignore:.*No render fps")
def test_gymnasium_finds_nothing_wrong(world, action):
    env = make(world, action=action, render_mode="rgb_array")
    check_env(env.unwrapped)
    env.close()


def test_equal_seeds_give_equal_episodes(world):
    env = make(world)
    first, other, again = episode(env, 5), episode(env, 6), episode(env, 5)
    assert_equal_episodes(first, again)
    assert not np.array_equal(first[0][-1]["image"], other[0][-1]["image"])
    assert_equal_episodes(first, episode(make(world), 5))


def test_an_episode_begins_with_what_is_remembered_and_pays_for_what_is_new(world):
    env = make(world, turn_rad=np.pi)
    observation, info = env.reset(seed=0)
    assert info == {"blocked": False, "reused": True, "views": 3}
    assert observation["confidence"].min() == 1
    assert observation["image"].shape == (36, 48, 3)
    assert 0 < observation["depth"].min() < observation["depth"].max() < 10
    observation, reward, terminated, truncated, info = env.step(np.array([0, 0, np.pi], np.float32))
    assert 0 < reward <= 1
    assert reward == pytest.approx((observation["confidence"] == 0).mean())
    assert (terminated, truncated, info["views"]) == (False, False, 4)
    # The same pose again is a stored view, and earns nothing.
    observation, reward, *_, info = env.step(np.zeros(3, np.float32))
    assert (reward, info["reused"]) == (0, True)
    env.reset(seed=0)
    assert env.unwrapped.reset()[1]["views"] == 3


def test_motions_are_those_of_a_robot(world):
    env = make(world, step_m=0.5)
    before = env.reset(seed=1)[0]["pose"]
    ahead, *_ = env.step(np.array([0.5, 0, 0], np.float32))
    left, *_ = env.step(np.array([0, 0.5, 0], np.float32))
    one, other = ahead["pose"][:3] - before[:3], left["pose"][:3] - ahead["pose"][:3]
    assert np.linalg.norm(one) == np.linalg.norm(other) == pytest.approx(0.5)
    assert np.cross(one, other)[2] == pytest.approx(0.25)
    assert one[2] == other[2] == 0


def test_a_pose_that_was_observed_leads_back(world):
    env = make(world, action="pose")
    first, _ = env.reset(seed=2)
    away = first["pose"].copy()
    away[0] += 0.3
    env.step(away)
    back, *_ = env.step(first["pose"])
    assert np.allclose(back["pose"], first["pose"])
    assert np.abs(back["image"].astype(int) - first["image"]).mean() < 2


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vector_environments(world, mode):
    envs = gymnasium.make_vec(
        vmem_ros.fleet.ENVIRONMENT, num_envs=2, vectorization_mode=mode, engine="reprojection", world=world
    )
    try:
        observation, _ = envs.reset(seed=5)
        assert observation["image"].shape == (2, 36, 48, 3)
        envs.action_space.seed(0)
        observation, rewards, *_ = envs.step(envs.action_space.sample())
        assert rewards.shape == (2,)
        # Each world has a seed of its own, the next number.
        second, _ = make(world).reset(seed=6)
        first_poses = envs.reset(seed=5)[0]["pose"]
        assert np.array_equal(first_poses[1], second["pose"])
    finally:
        envs.close()


def test_it_begins_in_a_photograph_and_in_a_recording(tmp_path):
    view = box_view(CAMERA, orbit(8)[0])
    Image.fromarray(view.image.numpy()).save(tmp_path / "photo.png")
    np.save(tmp_path / "depth.npy", view.depth.numpy())
    env = make(photo=str(tmp_path / "photo.png"), source_options={"depth": str(tmp_path / "depth.npy")}, width=40)
    observation, info = env.reset(seed=0)
    assert observation["image"].shape == (30, 40, 3)
    assert info["views"] == 1
    write_posed_folder(tmp_path / "recording", [box_view(CAMERA, T, stamp_ns=i) for i, T in enumerate(orbit(8)[:4])])
    env = make(recording=str(tmp_path / "recording"), source_options={"frames": "::2"}, width=24)
    observation, info = env.reset(seed=0)
    assert observation["image"].shape == (18, 24, 3)
    assert info["views"] == 2


@pytest.mark.slow
def test_in_a_house_things_are_in_the_way():
    env = make(house=3, width=32, max_episode_steps=60)
    env.reset(seed=0)
    blocked = 0
    for step in range(60):
        before = env.unwrapped._pose
        *_, truncated, info = env.step(np.array([0.25, 0, 0.01], np.float32))
        assert truncated == (step == 59)
        if info["blocked"]:
            blocked += 1
            assert (env.unwrapped._pose == before).all()
    assert blocked > 10
    assert env.unwrapped.reset(seed=1)[1]["views"] == 1


def test_a_reward_of_ones_own(world):
    def fear(outcome: Outcome) -> float:
        return -float(outcome.blocked) - 0.5

    assert episode(make(world, reward=fear), 0, steps=1)[1] == [-0.5]
    assert episode(make(world, reward="constancy"), 0, steps=1)[1][0] > 0
    with pytest.raises(ModelError, match="reward = 'nothing'"):
        make(world, reward="nothing")


@pytest.mark.parametrize(
    ("action", "given"),
    [("motion", [np.nan, 0, 0]), ("motion", [9, 0, 0]), ("motion", [0, 0]), ("pose", [0] * 7), ("pose", ["x"] * 7)],
)
def test_an_action_that_is_none_changes_nothing(world, action, given):
    env = make(world, action=action).unwrapped
    _, info = env.reset(seed=0)
    with pytest.raises(InvalidPoseError):
        env.step(np.array(given))
    assert len(env._start.world) == info["views"]
    assert_equal_episodes(episode(env, 3), episode(make(world, action=action), 3))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"house": 1, "photo": "a.png"}, ParameterError, "house and photo: leave out all but one"),
        ({"colour": "red"}, ParameterError, "no option colour"),
        ({"width": 0}, ParameterError, "at least 1 pixel"),
        ({"fov_deg": 200}, ParameterError, "fov_deg"),
        ({"step_m": -1}, ParameterError, "step_m"),
        ({"action": "dance"}, ParameterError, "motion, pose"),
        ({"source_options": {"frames": ":"}}, ParameterError, "a house has no options"),
        ({"world": "nowhere.world"}, WorldFileError, "nowhere.world is not a file"),
    ],
)
def test_what_it_refuses(options, error, message):
    with pytest.raises(error, match=message):
        make(**options)


def test_before_the_first_reset(world):
    env = make(world).unwrapped
    with pytest.raises(gymnasium.error.ResetNeeded):
        env.step(env.action_space.sample())


def test_importing_it_costs_neither_ray_nor_torch():
    probe = "import sys, vmem_ros.fleet; assert not {'ray', 'torch'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", probe], check=True, env=dict(os.environ), cwd=Path.home())


def test_without_gymnasium_the_remedy_is_named():
    probe = """
import sys
sys.modules["gymnasium"] = None
try:
    import vmem_ros.fleet
except Exception as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", probe], check=True, capture_output=True, text=True, env=dict(os.environ)
    )
    assert "pip install 'vmem_ros[fleet]'" in done.stdout
