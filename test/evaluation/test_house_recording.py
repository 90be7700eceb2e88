"""Recordings of houses: as noisy as asked, and read back like those of real cameras."""

from __future__ import annotations

import dataclasses

import torch

from vmem_ros.cli.main import main
from vmem_ros.evaluation.house_recording import HouseWalk, record_house
from vmem_ros.geometry import geodesic_distance
from vmem_ros.recordings import open_recording

WALK = HouseWalk(1_000_005, frames=4, width=96, sensor="tof", translation_m=0.03, rotation_deg=1.0)


EXACT = dataclasses.replace(
    WALK, sensor="exact", translation_m=0, rotation_deg=0, exposure_ev=0, balance=0, noise=0, shutter=0
)


def test_only_what_is_asked_for_is_off_and_the_same_each_time() -> None:
    noisy, exact = list(record_house(WALK)), list(record_house(EXACT))
    again = next(record_house(WALK))
    assert torch.equal(again.image, noisy[0].image)
    assert torch.equal(again.depth.nan_to_num(-1), noisy[0].depth.nan_to_num(-1))
    for seen, true in zip(noisy, exact, strict=True):
        moved = torch.linalg.vector_norm(seen.T_world_camera[:3, 3] - true.T_world_camera[:3, 3])
        assert 0 < float(moved) < 0.12
        assert 0 < float(geodesic_distance(seen.T_world_camera, true.T_world_camera, translation_weight=0)) < 0.06
        assert true.depth.isfinite().all()
        assert 0.1 < float(seen.depth.isnan().float().mean()) < 0.6
        assert 0.5 < float((seen.image.float() - true.image.float()).abs().mean()) < 40
        assert seen.stamp_ns == true.stamp_ns


def test_the_command_writes_recordings(tmp_path) -> None:
    given = ["--layout", "mcap", "--frames", "3", "--width", "96", "--sensor", "lidar"]
    assert main(["record", "1000005", "--out", str(tmp_path / "walk"), *given]) == 0
    recording = open_recording(tmp_path / "walk")
    assert (recording.layout, len(recording), recording.notes) == ("bag", 3, ())
    assert float(recording[0].view.depth.isnan().float().mean()) < 0.5


def test_a_walk_of_one_frame_is_none(tmp_path, capsys) -> None:
    assert main(["record", "1000005", "--out", str(tmp_path / "x"), "--frames", "1"]) == 1
    assert "ValueError: n must be at least 2" in capsys.readouterr().err
