"""A camera that looked through to infinity refutes what was imagined there, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from memories import differences, snapshot, write
from outdoors import outdoor_view
from vmem_ros.geometry import Camera, invert, look_at, project, transform, unproject
from vmem_ros.memory import load_memory
from vmem_ros.protocols import Memory
from vmem_ros.types import IMAGINED_CONFIDENCE, PointMap, Target, View

CAMERA = Camera.from_fov(96, 64, 75)
HERE = Target(CAMERA, look_at((-2.0, 3.5, 1.5), (4.0, 3.5, 1.8)))
BESIDE = Target(CAMERA, look_at((-2.5, 3.0, 1.4), (4.0, 3.8, 1.9)))
WALL_M = 4.0


def wall(source: str) -> tuple[View, PointMap]:
    """Return a view of a wall across the whole picture, and its geometry."""
    depth = torch.full(CAMERA.size, WALL_M)
    image = torch.full((*CAMERA.size, 3), 90, dtype=torch.uint8)
    view = View(image, CAMERA, HERE.T_world_camera, depth, source=source)
    return view, PointMap.from_depth(depth, torch.ones_like(depth), CAMERA, HERE.T_world_camera)


def readings(view: View, points: torch.Tensor) -> torch.Tensor:
    """Return the depth [n] that a view has where points [n, 3] of the world fall in it; NaN outside."""
    uv, _ = project(transform(invert(view.T_world_camera), points), view.camera)
    u, v = uv.nan_to_num(nan=-1.0).floor().long().unbind(-1)
    inside = (u >= 0) & (u < CAMERA.width) & (v >= 0) & (v < CAMERA.height)
    return torch.where(inside, view.depth[v.clamp(0, CAMERA.height - 1), u.clamp(0, CAMERA.width - 1)], torch.nan)


def middle(values: torch.Tensor) -> torch.Tensor:
    """Return an image without its borders, which elements do not reach."""
    return values[4:-4, 4:-4]


@pytest.fixture(params=["surfel", "points"])
def memory(request: pytest.FixtureRequest) -> Memory:
    return load_memory(request.param)


@pytest.mark.parametrize("sky_first", [True, False])
@pytest.mark.parametrize("target", [HERE, BESIDE])
def test_what_was_imagined_before_the_sky_is_not_shown(memory: Memory, sky_first: bool, target: Target) -> None:
    seen = outdoor_view(CAMERA, HERE.T_world_camera)
    view, point_map = wall("generated")
    if sky_first:
        write(memory, [seen])
    memory.write([view], [point_map])
    if not sky_first:
        write(memory, [seen])
    shown = memory.project(target)
    imagined = shown.seen & (shown.confidence == IMAGINED_CONFIDENCE)
    points = unproject(shown.depth, CAMERA)[imagined].double()
    reading = readings(seen, transform(target.T_world_camera, points))
    assert not torch.isposinf(reading).any()
    assert bool(shown.depth[~shown.seen].isnan().all())
    truth = outdoor_view(CAMERA, target.T_world_camera)
    alone = memory.empty_copy()
    alone.write([view], [point_map])
    sky = torch.isposinf(truth.depth)
    assert float(alone.project(target).seen[sky].float().mean()) > 0.5
    # At its own pose the camera's view shows itself, sky and all.
    assert float(shown.depth[sky].isfinite().float().mean()) < 0.15
    ground = (shown.confidence == 1) & shown.depth.isfinite()
    assert float(ground.float().mean()) > 0.3
    assert float(((shown.depth / truth.depth)[ground] - 1).abs().median()) < 0.03


def test_what_a_camera_saw_stays(memory: Memory) -> None:
    """Depth cameras fail on black and on gloss: two readings of one place disagree, and neither is an invention."""
    view, point_map = wall("observed")
    memory.write([view], [point_map])
    write(memory, [outdoor_view(CAMERA, HERE.T_world_camera)])
    shown = memory.project(HERE)
    sky = torch.isposinf(outdoor_view(CAMERA, HERE.T_world_camera).depth)
    assert bool(middle(shown.seen)[middle(sky)].all())
    assert torch.allclose(middle(shown.depth)[middle(sky)], torch.tensor(WALL_M))


def test_a_generated_sky_refutes_nothing(memory: Memory) -> None:
    memory.write(*([each] for each in wall("generated")))
    before = memory.project(HERE)
    drawn = dataclasses.replace(outdoor_view(CAMERA, BESIDE.T_world_camera), source="generated")
    unknown = PointMap.from_depth(
        torch.full(CAMERA.size, torch.inf), torch.zeros(CAMERA.size), CAMERA, BESIDE.T_world_camera
    )
    memory.write([dataclasses.replace(drawn, depth=unknown.depth.contiguous())], [unknown])
    assert torch.equal(memory.project(HERE).seen, before.seen)


def test_undo_brings_back_what_was_refuted(memory: Memory) -> None:
    memory.write(*([each] for each in wall("generated")))
    before, shown = snapshot(memory), memory.project(BESIDE)
    write(memory, [outdoor_view(CAMERA, HERE.T_world_camera)])
    assert not torch.equal(memory.project(BESIDE).depth.isnan(), shown.depth.isnan())
    memory.undo()
    assert differences(before, snapshot(memory)) == []
    assert torch.equal(memory.project(BESIDE).seen, shown.seen)


def test_a_restored_memory_knows_the_sky(memory: Memory) -> None:
    memory.write(*([each] for each in wall("generated")))
    write(memory, [outdoor_view(CAMERA, HERE.T_world_camera)])
    restored = memory.empty_copy()
    restored.restore(*memory.state())
    assert torch.equal(restored.project(BESIDE).seen, memory.project(BESIDE).seen)
