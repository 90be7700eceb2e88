"""At the very pose of a generated view memory shows that view, also where it has no place for what was imagined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from vmem_ros.edits import Box, Edit
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import Camera, look_at
from vmem_ros.memory import load_memory
from vmem_ros.pointmaps import MemoryDepth
from vmem_ros.protocols import Editable
from vmem_ros.types import IMAGINED_CONFIDENCE, PointMap, Recall, Target, View
from vmem_ros.world import World

CAMERA = Camera.from_fov(96, 64, 75)
HERE = Target(CAMERA, look_at((0.0, 0.0, 0.0), (1.0, 0.0, 0.0)))
BESIDE = Target(CAMERA, look_at((0.0, 0.3, 0.0), (1.0, 0.3, 0.0)))
TURNED = Target(CAMERA, look_at((0.0, 0.0, 0.0), (1.0, 0.6, 0.0)))
NEAR_M, FAR_M = 2.0, 4.0
LEFT = torch.arange(CAMERA.width) < CAMERA.width // 2


@pytest.fixture(params=["surfel", "points"])
def memory(request: pytest.FixtureRequest) -> Editable:
    return load_memory(request.param)


def write_wall(memory: Editable, depth: torch.Tensor, target: Target, source: str, color: int) -> View:
    """Store a view of something gray and return it."""
    image = torch.full((*CAMERA.size, 3), color, dtype=torch.uint8)
    # No picture is the same as what fills its holes.
    image[::2, ::2] += 1
    view = View(image, CAMERA, target.T_world_camera, depth, source=source)
    points = PointMap.from_depth(depth, torch.ones_like(depth), CAMERA, target.T_world_camera)
    memory.write([view], [points])
    return view


def flat(depth_m: float) -> torch.Tensor:
    """Return the depth of a wall straight ahead."""
    return torch.full(CAMERA.size, depth_m)


def test_where_it_has_no_depth(memory: Editable) -> None:
    view = write_wall(memory, torch.where(LEFT, torch.nan, flat(NEAR_M)), HERE, "generated", 90)
    shown = memory.project(HERE)
    assert bool(shown.seen.all())
    assert torch.equal(shown.image, view.image)
    assert bool((shown.confidence == IMAGINED_CONFIDENCE).all())
    assert bool(shown.depth[:, : CAMERA.width // 2 - 4].isnan().all())
    # From elsewhere nobody knows where it is.
    assert not bool(memory.project(BESIDE).seen[:, : CAMERA.width // 4].any())


def test_where_a_camera_looked_through_it(memory: Editable) -> None:
    write_wall(memory, flat(FAR_M), BESIDE, "observed", 200)
    view = write_wall(memory, torch.where(LEFT, flat(NEAR_M), flat(FAR_M)), HERE, "generated", 90)
    shown = memory.project(HERE)
    unknown = shown.confidence <= IMAGINED_CONFIDENCE
    assert bool(shown.seen.all())
    assert torch.equal(shown.image[unknown], view.image[unknown])
    # What the camera saw is shown as it saw it.
    assert float((~unknown).float().mean()) > 0.5
    assert bool((shown.image[~unknown] >= 199).all())


def test_what_a_camera_saw_stays(memory: Editable) -> None:
    write_wall(memory, torch.where(LEFT, flat(NEAR_M), torch.nan), BESIDE, "observed", 200)
    before = memory.project(HERE)
    view = write_wall(memory, flat(NEAR_M), HERE, "generated", 90)
    shown = memory.project(HERE)
    saw = before.confidence == 1
    assert 0.2 < float(saw.float().mean()) < 0.8
    assert bool((shown.image[saw] >= 199).all())
    assert torch.equal(shown.image[~shown.seen | (shown.confidence < 1)], view.image[shown.confidence < 1])


class Dark(ReprojectionGenerator):
    """Draws what memory shows in the dark."""

    def generate(self, recall: Recall, targets: Sequence[Target], **rest: Any) -> list[View]:
        """Return one dark view per target."""
        return [view.having(image=view.image // 4) for view in super().generate(recall, targets, **rest)]


def test_along_seams_it_is_as_it_was_mixed(memory: Editable) -> None:
    write_wall(memory, flat(NEAR_M), TURNED, "observed", 200)
    world = World(memory, Dark(), MemoryDepth(), reuse_views=False)
    (out,), (back,) = world.explore([HERE]), world.explore([HERE])
    assert 0.2 < float((out.confidence == 1).float().mean()) < 0.8
    assert torch.equal(out.view.image, back.view.image)


@pytest.mark.parametrize("placed", [True, False], ids=["with depth", "partly without"])
def test_what_was_removed_stays_away(memory: Editable, placed: bool) -> None:
    depth = flat(NEAR_M) if placed else torch.where(LEFT, flat(NEAR_M), torch.nan)
    view = write_wall(memory, depth, HERE, "generated", 90)
    memory.edit(Edit(remove=(Box.between([NEAR_M - 0.3, 0.2, -0.3], [NEAR_M + 0.3, 0.8, 0.3]),)))
    gone = memory.views[0].depth.isnan() & ~depth.isnan()
    assert 0.02 < float(gone.float().mean()) < 0.5
    # Elements around it reach a little into the hole.
    inner = torch.nn.functional.avg_pool2d(gone[None].float(), 9, 1, 4)[0] > 0.99
    assert bool(inner.any())
    assert not bool(memory.project(HERE).seen[inner].any())
    memory.undo()
    assert torch.equal(memory.project(HERE).image, view.image)
