"""A viewer's backend on a world of this process: draws, takes back, saves, and can be stopped."""

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch

from rooms import box_view, orbit
from slow_engine import STEP_S, STEPS, SlowGenerator
from vmem_ros.errors import CancelledError, InvalidPoseError, NothingToUndoError, WorldFileError
from vmem_ros.geometry import Camera, look_at
from vmem_ros.types import Target
from vmem_ros.viewer.world_backend import WorldBackend
from vmem_ros.world import default_world
from waiting import WAIT_S, wait_until

CAMERA = Camera.from_fov(64, 48, 80)
VIEWS = [box_view(CAMERA, T) for T in orbit(3)]
ELSEWHERE = look_at((0.5, 0.2, 0.1), (3.0, 0.5, 0.0))


@pytest.fixture
def backend(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[WorldBackend]:
    """An empty world, with an engine that takes so long a step as a test asks for."""
    world = default_world(SlowGenerator(step_s=getattr(request, "param", STEP_S)))
    backend = WorldBackend(world, CAMERA, title="box", save_as=tmp_path / "box")
    yield backend
    assert backend.close(timeout_s=WAIT_S)


def observed(backend: WorldBackend) -> None:
    assert result(backend.observe(len(VIEWS), VIEWS.__getitem__)) == "remembered 3 frames"


def result(future: Future[str]) -> str:
    return future.result(WAIT_S)


def test_it_looks_draws_and_takes_back(backend: WorldBackend) -> None:
    assert backend.status().T_world_camera is None
    observed(backend)
    status = backend.status()
    assert (status.views, status.activity, status.fraction) == (3, "idle", None)
    assert torch.equal(status.T_world_camera, VIEWS[0].T_world_camera)
    assert "box · engine slow · 3 views" in status.summary
    backend.move(ELSEWHERE)
    assert "memory knew" in result(backend.generate(""))
    assert backend.status().views == 4
    assert backend.status().version > status.version
    newest = backend.snapshot().result(WAIT_S).views[-1]
    assert newest.generated
    assert torch.equal(newest.target.T_world_camera, ELSEWHERE)
    assert "remembered already" in result(backend.generate(""))
    assert "3 views remain" in result(backend.undo())
    for _ in VIEWS:
        backend.undo()
    with pytest.raises(NothingToUndoError):
        result(backend.undo())


@pytest.mark.parametrize("backend", [0.5], indirect=True)
def test_previews_are_drawn_while_it_draws_and_it_can_be_stopped(backend: WorldBackend) -> None:
    observed(backend)
    backend.move(ELSEWHERE)
    drawn = [backend.generate(""), backend.generate("")]
    wait_until(lambda: (backend.status().fraction or 0) > 0, "progress", seen=backend.status)
    assert f"of {STEPS}" in backend.status().activity
    preview = backend.preview(Target(CAMERA, ELSEWHERE)).result(WAIT_S)
    assert preview.image.shape == (48, 64, 3)
    assert (preview.confidence > 0).mean() > 0.5
    assert not drawn[0].done()
    backend.cancel()
    for future in drawn:
        with pytest.raises(CancelledError):
            result(future)
    assert backend.status().views == 3
    assert "drew" in result(backend.generate("")), "what is asked for later is not cancelled"


def test_it_saves_and_keeps_files_that_are_there(backend: WorldBackend, tmp_path: Path) -> None:
    assert not backend.unsaved
    observed(backend)
    assert backend.unsaved
    assert str(tmp_path / "box") in result(backend.save(overwrite=False))
    assert not backend.unsaved
    before = (tmp_path / "box").read_bytes()
    with pytest.raises(WorldFileError, match="exists"):
        result(backend.save(overwrite=False))
    assert (tmp_path / "box").read_bytes() == before
    result(backend.save(overwrite=True))
    loaded = default_world()
    loaded.load(tmp_path / "box")
    assert len(loaded) == 3


def test_a_pose_that_is_none_changes_nothing(backend: WorldBackend) -> None:
    observed(backend)
    with pytest.raises(InvalidPoseError):
        backend.move(torch.full((4, 4), torch.nan, dtype=torch.float64))
    assert torch.equal(backend.status().T_world_camera, VIEWS[0].T_world_camera)


def test_looking_can_be_stopped(backend: WorldBackend) -> None:
    def look(number: int) -> object:
        if number == 1:
            backend.cancel()
        return VIEWS[number]

    with pytest.raises(CancelledError, match="after 2 of 3"):
        result(backend.observe(3, look))  # type: ignore[arg-type]
    assert backend.status().views == 2
