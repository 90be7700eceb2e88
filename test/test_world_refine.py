"""Frames whose poses are off, observed by a world that aligns them: what is stored, taken back and saved."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from memories import differences
from rooms import box_view
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import MEMORIES, load_memory
from vmem_ros.pose_refinement import PoseRefinementOptions
from vmem_ros.types import View
from vmem_ros.world import World, default_world

CAMERA = Camera.from_fov(192, 128, 75)
TRUE = look_at((-0.8, 0.35, 0.2), (2.5, 1.6, -0.4))


def moved(T: torch.Tensor, metres: float) -> torch.Tensor:
    """Return a pose that is off to the right."""
    out = T.clone()
    out[:3, 3] += metres * T[:3, 0]
    return out


def seen_world(memory: str = "surfel") -> World:
    """Return a world that has seen a corner of the room, from poses that are right."""
    world = default_world(memory=load_memory(memory))
    for x in (-1.2, -1.0, -0.6):
        world.observe(box_view(CAMERA, look_at((x, 0.3, 0.2), (2.5, 1.6, -0.4))))
    return world


def frame() -> View:
    """Return a frame whose pose is 2 cm off."""
    return dataclasses.replace(box_view(CAMERA, TRUE), T_world_camera=moved(TRUE, 0.02))


@pytest.mark.parametrize("memory", MEMORIES)
def test_a_frame_is_stored_at_its_corrected_pose(memory: str) -> None:
    world = seen_world(memory)
    found = world.observe(frame(), refine=PoseRefinementOptions(memory_weight=1.0))
    assert found is not None
    assert found.accepted, found.reason
    stored = world.memory.views[-1]
    torch.testing.assert_close(stored.T_world_camera, frame().T_world_camera @ found.T_correction)
    assert float((stored.T_world_camera[:3, 3] - TRUE[:3, 3]).norm()) < 0.005
    assert torch.equal(stored.image, frame().image)
    assert "mm and" in str(found)


def test_poses_stay_unless_asked_for_and_where_nothing_is_known() -> None:
    world = default_world()
    first = world.observe(frame(), refine=True)
    assert first is not None
    assert not first.accepted
    assert torch.equal(world.memory.views[0].T_world_camera, frame().T_world_camera)
    assert world.observe(box_view(CAMERA, moved(TRUE, 0.03))) is None
    assert torch.equal(world.memory.views[1].T_world_camera, moved(TRUE, 0.03))


def test_undo_and_saving_do_not_know_of_it(tmp_path: Path) -> None:
    world = seen_world()
    before = world.memory.state()
    world.observe(frame(), refine=True)
    refined = world.memory.state()
    assert differences(refined, before) != []
    world.save(tmp_path / "refined.world")
    world.undo()
    assert differences(world.memory.state(), before) == []
    other = default_world()
    other.load(tmp_path / "refined.world")
    assert differences(other.memory.state(), refined) == []
    # The same frame again gives the same world: nothing is kept besides.
    world.observe(frame(), refine=True)
    assert differences(world.memory.state(), refined) == []


def test_a_walk_whose_poses_drift_does_not_run_away() -> None:
    """Each frame is off by a few millimetres more; memory may lag behind, within the bounds of one correction."""
    world = default_world()
    corrections = []
    for i in range(8):
        true = look_at((-1.2 + 0.05 * i, 0.3, 0.2), (2.5, 1.6, -0.4))
        found = world.observe(
            dataclasses.replace(box_view(CAMERA, true), T_world_camera=moved(true, 0.008 * i)), refine=True
        )
        assert found is not None
        corrections.append(float(found.T_correction[:3, 3].norm()))
    assert max(corrections) < 0.03
    assert any(length > 0.002 for length in corrections)
