"""A recording of a real camera: what one frame measured lies where another one sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from vmem_ros.geometry import invert, project, transform, unproject
from vmem_ros.recordings import RecordedFrame, open_recording
from vmem_ros.recordings.posed_folder_writer import write_posed_folder


def reprojected(frame: RecordedFrame, into: RecordedFrame) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return colours [N, 3] of points of one frame, those [N, 3] of the other there, and the median error of depth."""
    view, other = frame.view, into.view
    known = torch.isfinite(view.depth)
    points = unproject(view.depth.double(), view.camera)[known]
    pixels, z = project(transform(invert(other.T_world_camera) @ view.T_world_camera, points), other.camera)
    column, row = pixels.nan_to_num(-1).floor().long().unbind(dim=-1)
    inside = (column >= 0) & (column < other.camera.width) & (row >= 0) & (row < other.camera.height)
    error = (z[inside] - other.depth[row[inside], column[inside]]).abs()
    # What is hidden in the other frame says nothing.
    same = error < 0.05 * z[inside]
    colors = view.image[known][inside][same], other.image[row[inside], column[inside]][same]
    return *colors, float(error.nanmedian())


def test_all_of_it_is_read(kitchen_walk: Path) -> None:
    recording = open_recording(kitchen_walk, width=384)
    assert (recording.layout, len(recording)) == ("posed_folder", 190)
    assert recording.notes == ("up is +y: so the cameras are held",)
    frame = recording[0]
    assert frame.view.camera.size == (256, 384)
    assert 0.1 < float(frame.view.depth.isnan().float().mean()) < 0.6
    # Held by somebody who walks upright.
    heights = torch.stack([target.T_world_camera[2, 3] for target in recording.targets])
    assert float(heights.std()) < 0.2
    assert all(float(-target.T_world_camera[2, 1]) > 0.5 for target in recording.targets)


@pytest.mark.parametrize(("first", "step"), [(0, 1), (60, 1), (120, 1), (0, 5), (80, 5)])
def test_one_frame_lies_on_another(kitchen_walk: Path, first: int, step: int) -> None:
    recording = open_recording(kitchen_walk)
    own, there, error_m = reprojected(recording[first], recording[first + step])
    assert error_m < 0.012
    gray, expected = (colors.double().mean(dim=-1).numpy() for colors in (own, there))
    assert len(gray) > 10_000
    assert np.corrcoef(gray, expected)[0, 1] > 0.85


def test_it_survives_being_written_again(kitchen_walk: Path, tmp_path: Path) -> None:
    recording = open_recording(kitchen_walk, frames=slice(0, 8, 4), width=270)
    write_posed_folder(tmp_path / "walk", (frame.view for frame in recording.frames()))
    again = open_recording(tmp_path / "walk")
    assert (again.up, again.notes) == ("+z", ())
    for frame, other in zip(recording.frames(), again.frames(), strict=True):
        assert torch.equal(frame.view.image, other.view.image)
        torch.testing.assert_close(frame.view.depth, other.view.depth, rtol=0, atol=1e-6, equal_nan=True)
        torch.testing.assert_close(frame.view.T_world_camera, other.view.T_world_camera, rtol=0, atol=1e-9)
