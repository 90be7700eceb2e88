"""Editing over ROS: what is removed is rendered and captured no more, what is added is, and undo brings all back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from geometry_msgs.msg import PoseStamped, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from vmem_ros.srv import AddView, EditWorld

from harness import CAMERA, CameraProcess, Probe, pose_at, stamped
from rooms import PANEL_X, box_view
from vmem_ros.edits import Box, Sphere, UnderMask
from vmem_ros.errors import ErrorCode, FrameError, InvalidEditError, InvalidImageError, NotSeededError
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import NODE_NAME
from vmem_ros.nodes.interface.rclpy_messages import camera_to_message, header, image_to_message, mask_to_message
from vmem_ros.types import Elements, Target, View

pytestmark = pytest.mark.ros
POSES = [pose_at(-1.0), pose_at(-0.8, 1.2, look=(2.5, -0.6, 0.0)), pose_at(-0.8, -1.2, look=(2.5, 0.6, 0.0))]
BOX = Box.between([PANEL_X - 0.2, -0.6, -0.6], [PANEL_X + 0.2, 0.6, 0.6])
#: No wall has it.
PINK = (255, 0, 255)


def truth(T: torch.Tensor, *, panel: bool = True) -> View:
    return box_view(CAMERA, T, panel=panel)


def panel_in(T: torch.Tensor) -> NDArray[np.bool_]:
    """Return which pixels of a camera show the panel."""
    return (truth(T).depth < 0.99 * truth(T, panel=False).depth).numpy()


def pink_cloud() -> Elements:
    side = torch.linspace(-0.25, 0.25, 30)
    y, z = torch.meshgrid(side, side, indexing="ij")
    position = torch.stack([torch.ones_like(y), y, z], dim=-1).view(-1, 3)
    return Elements(position, torch.tensor(PINK, dtype=torch.uint8).expand(len(position), 3).clone())


def is_pink(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return (np.abs(image.astype(int) - PINK) < 10).all(axis=-1)


@pytest.fixture(scope="module", params=["surfel", "points"])
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CameraClient]:
    folder = tmp_path_factory.mktemp("edit")
    parameters = {"memory.kind": request.param, "world.root": folder}
    with CameraProcess(folder / "log", parameters), CameraClient() as out:
        out.wait_until_ready()
        yield out


@pytest.fixture
def seeded(client: CameraClient) -> CameraClient:
    client.reset()
    for T in POSES:
        view = truth(T)
        client.add_view(view.image.numpy(), CAMERA, T, depth=view.depth.numpy())
    return client


def depth_of_panel(client: CameraClient, T: torch.Tensor) -> float:
    """Return the share of the pixels of the panel that are rendered as far away as it is."""
    shown, where = client.render(T, camera=CAMERA).depth, panel_in(T)
    with np.errstate(invalid="ignore"):
        return float((np.abs(shown / truth(T).depth.numpy() - 1) < 0.05)[where].mean())


@pytest.mark.parametrize("kind", ["box", "sphere", "mask"])
def test_what_is_removed_is_gone_until_undo(seeded: CameraClient, kind: str) -> None:
    remove = {
        "box": BOX,
        "sphere": Sphere([PANEL_X, 0.0, 0.0], 0.75),
        "mask": UnderMask(Target(CAMERA, POSES[0]), torch.from_numpy(panel_in(POSES[0])), thickness_m=0.1),
    }[kind]
    before = [seeded.render(T, camera=CAMERA).image for T in POSES]
    edited = seeded.edit(remove=remove)
    assert edited.added == 0
    assert edited.views == 3
    assert min(edited.removed, edited.pixels) > 50
    assert [depth_of_panel(seeded, T) for T in POSES] == [0, 0, 0]
    seeded.undo()
    after = [seeded.render(T, camera=CAMERA).image for T in POSES]
    assert all(np.array_equal(a, b) for a, b in zip(after, before, strict=True))


def test_a_view_is_drawn_anew_where_something_was_removed(seeded: CameraClient) -> None:
    """At the very pose of a stored view, which without the edit would be the answer."""
    where = panel_in(POSES[0])
    stored = truth(POSES[0]).image.numpy()
    assert np.array_equal(seeded.capture(POSES[0]).image, stored)
    seeded.edit(remove=BOX)
    drawn = seeded.capture(POSES[0]).image
    assert np.abs(drawn.astype(int) - stored)[where].mean() > 20
    wall = truth(POSES[0], panel=False).image.numpy()
    assert np.abs(drawn.astype(int) - wall)[where].mean() < np.abs(stored.astype(int) - wall)[where].mean() / 2


def test_what_is_added_is_shown_saved_and_loaded(seeded: CameraClient) -> None:
    edited = seeded.edit(add=pink_cloud())
    assert edited.added > 100
    assert all(is_pink(seeded.render(T, camera=CAMERA).image).sum() > 100 for T in POSES)
    seeded.save("pink.world", overwrite=True)
    seeded.undo()
    assert not any(is_pink(seeded.render(T, camera=CAMERA).image).any() for T in POSES)
    seeded.load("pink.world")
    assert all(is_pink(seeded.render(T, camera=CAMERA).image).sum() > 100 for T in POSES)
    assert is_pink(seeded.capture(POSES[0]).image).sum() > 100
    seeded.undo()
    seeded.edit(remove=Sphere([1.0, 0.0, 0.0], 0.5))
    assert not any(is_pink(seeded.render(T, camera=CAMERA).image).any() for T in POSES)
    seeded.undo()
    seeded.undo()
    assert not any(is_pink(seeded.render(T, camera=CAMERA).image).any() for T in POSES)


def test_replacing_is_one_commit(seeded: CameraClient) -> None:
    cloud = pink_cloud()
    edited = seeded.edit(
        remove=BOX, add=replace(cloud, normal=torch.tensor([-1.0, 0, 0]).expand(len(cloud), 3).clone())
    )
    assert min(edited) > 0
    seeded.undo()
    assert depth_of_panel(seeded, POSES[0]) > 0.9
    assert not is_pink(seeded.render(POSES[0], camera=CAMERA).image).any()


def test_what_is_refused_changes_nothing(seeded: CameraClient) -> None:
    before = seeded.render(POSES[0], camera=CAMERA).image
    with pytest.raises(InvalidEditError, match="nothing that is remembered lies there"):
        seeded.edit(remove=Sphere([0.0, 0.0, 0.0], 0.05))
    with pytest.raises(InvalidEditError, match="something to remove or to add"):
        seeded.edit()
    with pytest.raises(FrameError, match="nowhere"):
        seeded.edit(remove=BOX, frame_id="nowhere")
    probe = Probe()
    try:
        edit = probe.client(f"/vmem/{NODE_NAME}/edit_world", EditWorld)
        box = {"remove": EditWorld.Request.BOX, "pose": _centre()}
        no_pose = _centre()
        no_pose.pose.orientation.w = 0.0
        head, camera = header("map", 0), camera_to_message(CAMERA, header("map", 0))
        mask = {"remove": EditWorld.Request.MASK, "pose": stamped(POSES[0]), "camera_info": camera}
        for fields, code, text in (
            ({"remove": 9}, ErrorCode.INVALID_EDIT, "BOX 1"),
            ({**box, "size": Vector3(x=1.0, y=-1.0, z=1.0)}, ErrorCode.INVALID_EDIT, "positive"),
            ({**box, "size": Vector3(x=1.0, y=1.0, z=float("nan"))}, ErrorCode.INVALID_EDIT, "three numbers"),
            ({"remove": EditWorld.Request.SPHERE, "pose": _centre()}, ErrorCode.INVALID_EDIT, "radius"),
            ({**box, "pose": no_pose}, ErrorCode.INVALID_POSE, ""),
            ({**mask, "mask": Image()}, ErrorCode.INVALID_IMAGE, "empty"),
            ({**mask, "mask": mask_to_message(np.ones((5, 7), bool), head)}, ErrorCode.INVALID_IMAGE, "7 x 5"),
            (
                {**mask, "mask": mask_to_message(np.zeros((72, 96), bool), head)},
                ErrorCode.INVALID_EDIT,
                "mask is empty",
            ),
            (
                {**mask, "mask": image_to_message(np.zeros((72, 96, 3), np.uint8), head)},
                ErrorCode.INVALID_IMAGE,
                "masks must be mono8",
            ),
        ):
            answer = probe.call(edit, EditWorld.Request(**fields))
            assert (answer.error_code, text in answer.error_msg) == (code, True), answer
        seeded.edit(remove=BOX)
        undo = probe.client(f"/vmem/{NODE_NAME}/undo", Trigger)
        assert probe.call(undo, Trigger.Request()).message == "took an edit back, 3 remain"
    finally:
        probe.close()
    assert np.array_equal(seeded.render(POSES[0], camera=CAMERA).image, before)
    seeded.undo()
    assert seeded.wait_for(lambda s: s.stored_views == 2)


def test_nothing_to_edit(client: CameraClient) -> None:
    client.reset()
    with pytest.raises(NotSeededError):
        client.edit(add=pink_cloud())


class TestMasks:
    """``~/add_view`` with a mask: what moves is remembered by nobody."""

    def test_what_moves_is_not_shown(self, client: CameraClient) -> None:
        client.reset()
        for number, T in enumerate(POSES):
            view, moving = truth(T, panel=False), panel_in(T)
            image, depth = view.image.numpy().copy(), view.depth.numpy().copy()
            image[moving], depth[moving] = PINK, truth(T).depth.numpy()[moving]
            assert client.add_view(image, CAMERA, T, depth=depth, mask=moving) == number + 1
        for T in [*POSES, pose_at(-0.9, 0.3)]:
            assert not is_pink(client.render(T, camera=CAMERA).image).any()
            assert not is_pink(client.capture(T).image).any()

    def test_a_mask_that_does_not_fit_is_refused(self, client: CameraClient) -> None:
        client.reset()
        view = truth(POSES[0])
        with pytest.raises(InvalidImageError, match="the mask is 7 x 5 but the image is 96 x 72"):
            client.add_view(view.image.numpy(), CAMERA, POSES[0], depth=view.depth.numpy(), mask=np.ones((5, 7), bool))
        assert AddView.Request().mask.width == 0


def _centre() -> PoseStamped:
    out = PoseStamped(header=header("map", 0))
    out.pose.orientation.w = 1.0
    return out
