"""Which views belong into the context."""

import pytest
import torch

from rooms import box_view
from vmem_ros.generation.gac.overlap import ViewVolume, choose_context, edge_crossings
from vmem_ros.geometry import Camera, look_at, pose_from
from vmem_ros.types import Target

CAMERA = Camera.from_fov(48, 32, 70)
HERE = look_at((0, 0, 0), (3, 0, 0))
ASIDE = look_at((0, 0.3, 0), (3, 0.3, 0))
TURNED = look_at((0, 0, 0), (3, 2, 0))
BEHIND = look_at((0, 0, 0), (-3, 0, 0))
VIEWS = {name: box_view(CAMERA, T) for name, T in
         {"here": HERE, "aside": ASIDE, "turned": TURNED, "behind": BEHIND}.items()}  # fmt: skip
TARGET = Target(CAMERA, HERE)


def chosen(*names: str, count: int = 4, rule: str = "volume") -> list[str]:
    views = choose_context([VIEWS[name] for name in names], [TARGET], count, rule=rule)
    return [name for view in views for name, known in VIEWS.items() if known is view]


def test_a_camera_sees_all_of_what_itself_sees_wherever_it_is() -> None:
    far = pose_from((1e6, -1e6, 50.0), (0.1, 0.2, -0.3, 0.927))
    for camera in (CAMERA, Camera(torch.tensor([[40.0, 2.0, 10], [0, 30, 40], [0, 0, 1]]), 48, 32)):
        for T in (HERE, far):
            target = Target(camera.without_skew(), T)
            assert float(ViewVolume().shares(target, [target.camera], T[None])) == 1


def test_the_view_that_shares_most_comes_last() -> None:
    assert chosen("here", "aside", "turned", "behind") == ["turned", "aside", "here"]
    assert chosen("turned", "behind", "here", "aside", count=2) == ["aside", "here"]


def test_identical_poses_have_no_crossing_and_belong_together_all_the_same() -> None:
    assert int(edge_crossings(TARGET, [CAMERA], HERE[None])) == 0
    assert chosen("behind", "here", rule="crossings") == ["here"]
    assert "aside" in chosen("behind", "aside", rule="crossings")


def test_a_view_is_taken_once() -> None:
    assert chosen("here", "aside", "here") == ["aside", "here"]


@pytest.mark.parametrize("rule", ["volume", "crossings"])
def test_a_context_is_never_empty(rule) -> None:
    assert chosen("behind", rule=rule) == ["behind"]


def test_other_lenses_see_other_shares() -> None:
    cameras = [Camera.from_fov(48, 32, fov) for fov in (30, 70, 120)]
    shares = ViewVolume().shares(TARGET, cameras, HERE.expand(3, 4, 4))
    assert 0 < float(shares[0]) < 0.5
    assert shares[1:].tolist() == [1, 1]
