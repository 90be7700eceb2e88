"""Bags of ROS 2 in both storages: images, depth, intrinsics and poses that belong together, or what is wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from bags import BASE, COLOR, DEPTH, DEPTH_INFO, LINK, ODOM, OPTICAL, Bag, base_of, rgbd
from recorded import CAMERA, PERIOD_NS, START_NS, truncate, walk
from vmem_ros.errors import RecordingError
from vmem_ros.geometry import Camera, interpolate_poses
from vmem_ros.messages.images import image_to_message
from vmem_ros.messages.stamps import header
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.recordings import Recording, open_recording
from vmem_ros.recordings.rgbd_bag import write_bag
from walls import two_walls

VIEWS = walk()


def same(recording: Recording, views=VIEWS, *, depth_m: float = 1e-6, image: bool = True) -> None:
    """Check that a recording has the images, depth, poses and times of views."""
    assert len(recording) == len(views)
    for frame, view in zip(recording.frames(), views, strict=True):
        torch.testing.assert_close(frame.view.camera.K, view.camera.K, rtol=0, atol=1e-9)
        assert not image or torch.equal(frame.view.image, view.image)
        torch.testing.assert_close(frame.view.depth, view.depth, rtol=0, atol=depth_m)
        torch.testing.assert_close(frame.view.T_world_camera, view.T_world_camera, rtol=0, atol=1e-9)
        assert (frame.view.stamp_ns, frame.view.source) == (view.stamp_ns, "observed")


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_both_storages(tmp_path: Path, storage) -> None:
    folder = rgbd(VIEWS).write(tmp_path / "bag", storage=storage)
    recording = open_recording(folder)
    assert (recording.layout, recording.title, recording.up, recording.notes) == ("bag", "bag", "+z", ())
    same(recording)
    (file,) = [f for f in folder.iterdir() if f.suffix in (".mcap", ".db3")]
    same(open_recording(file))
    # A recorder that was killed leaves no metadata.
    (folder / "metadata.yaml").unlink()
    same(open_recording(folder))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_views_written_as_a_bag_come_back(tmp_path: Path, storage) -> None:
    write_bag(tmp_path / "bag", VIEWS, storage=storage)
    same(open_recording(tmp_path / "bag"))
    write_bag(tmp_path / "small", VIEWS, storage=storage, jpeg_quality=90)
    same(open_recording(tmp_path / "small"), image=False)
    with pytest.raises(RecordingError, match=r"view 1 is of .* ns, the one before of .*: times must rise"):
        write_bag(tmp_path / "back", VIEWS[::-1], storage=storage)


def test_progress_of_opening(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    open_recording(rgbd(VIEWS).write(tmp_path / "bag"), on_step=lambda step, steps_: steps.append((step, steps_)))
    # Images, depth, intrinsics and transforms of five frames.
    assert steps[-1] == (20, 20)
    assert [step for step, _ in steps] == sorted(step for step, _ in steps)


def test_millimetres(tmp_path: Path) -> None:
    bag = Bag()
    for view in VIEWS:
        bag.color(view)
        bag.depth(view, millimetres=True)
        bag.transform(view.T_world_camera, view.stamp_ns)
    same(open_recording(bag.write(tmp_path / "bag")), depth_m=0.51e-3)


# Time


@pytest.mark.parametrize("skew_ms", [10, -10])
def test_clocks_that_differ_by_ten_milliseconds(tmp_path: Path, skew_ms: int) -> None:
    """Depth is joined to its own image, although no two times are equal."""
    folder = rgbd(VIEWS, skew_ns=skew_ms * 1_000_000).write(tmp_path / "bag")
    same(open_recording(folder))
    with pytest.raises(RecordingError, match="no frame is left"):
        open_recording(folder, tolerance_s=0.005)


def test_transforms_whose_clock_is_late(tmp_path: Path) -> None:
    """They are interpolated; at the end, where none follows, the last one stands in."""
    bag = Bag()
    for view in VIEWS:
        bag.color(view)
        bag.depth(view)
        bag.transform(view.T_world_camera, view.stamp_ns - 10_000_000)
    recording = open_recording(bag.write(tmp_path / "bag"))
    found = torch.stack([target.T_world_camera for target in recording.targets])
    keys = torch.stack([view.T_world_camera for view in VIEWS])
    expected = interpolate_poses(keys, np.arange(5.0), np.arange(5.0) + 0.1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


def test_transforms_between_images_are_interpolated(tmp_path: Path) -> None:
    bag = Bag()
    for view in VIEWS[::2]:
        bag.transform(view.T_world_camera, view.stamp_ns)
    for view in VIEWS:
        bag.color(view)
        bag.depth(view)
    found = open_recording(bag.write(tmp_path / "bag")).targets[1].T_world_camera
    keys = torch.stack([VIEWS[0].T_world_camera, VIEWS[2].T_world_camera])
    torch.testing.assert_close(found, interpolate_poses(keys, [0, 2], [1])[0], rtol=0, atol=1e-9)


def test_a_gap_of_tf_is_named_with_its_time_and_frames(tmp_path: Path) -> None:
    bag = Bag()
    for i, view in enumerate(VIEWS):
        bag.color(view)
        bag.depth(view)
        if i in (0, 4):
            bag.transform(view.T_world_camera, view.stamp_ns)
    folder = bag.write(tmp_path / "bag")
    times = [f"{(START_NS + i * PERIOD_NS) / 1e9:.3f} s" for i in range(5)]
    gap = f"the transform {ODOM} -> {OPTICAL} is not known from {times[0]} to {times[4]}"
    with pytest.raises(RecordingError, match=f"frame {times[1]} has no pose: {gap}; gaps=skip"):
        open_recording(folder, max_gap_s=0.3)
    recording = open_recording(folder, max_gap_s=0.3, gaps="skip")
    assert [frame.name for frame in recording.frames()] == [times[0], times[4]]
    assert recording.notes == (f"left out 3 of 5 frames without a pose: {times[1]} to {times[3]} ({gap})",)
    assert len(open_recording(folder, max_gap_s=1.0)) == 5


def test_images_before_the_first_transform(tmp_path: Path) -> None:
    bag = rgbd(VIEWS)
    bag.messages = [m for m in bag.messages if m[0] != "/tf" or m[2] > START_NS]
    with pytest.raises(RecordingError, match=r"asked for 0.100 s before the oldest one; gaps=skip leaves"):
        open_recording(bag.write(tmp_path / "bag"))


def test_images_without_depth_are_left_out_and_counted(tmp_path: Path) -> None:
    bag = rgbd(VIEWS)
    bag.messages = [m for m in bag.messages if m[0] != DEPTH or m[2] not in (START_NS, START_NS + PERIOD_NS)]
    recording = open_recording(bag.write(tmp_path / "bag"))
    assert recording.notes == ("left out 2 of 5 frames without depth within 0.02 s",)
    same(recording, VIEWS[2:])


# Poses


def test_a_robot_with_its_camera_on_it(tmp_path: Path) -> None:
    """/tf from map to base, /tf_static from there to the lens."""
    bag = Bag()
    bag.mounted(START_NS)
    offset = torch.eye(4, dtype=torch.float64)
    offset[:3, 3] = torch.tensor([5.0, -2.0, 0.0])
    bag.transform(offset, START_NS, parent="map", child=ODOM)
    bag.transform(offset, START_NS + PERIOD_NS * 4, parent="map", child=ODOM)
    for view in VIEWS:
        bag.color(view)
        bag.depth(view)
        bag.transform(base_of(view), view.stamp_ns, child=BASE)
    folder = bag.write(tmp_path / "bag")
    same(open_recording(folder), [dataclasses.replace(v, T_world_camera=offset @ v.T_world_camera) for v in VIEWS])
    same(open_recording(folder, fixed_frame=ODOM))
    with pytest.raises(RecordingError, match=r"fixed_frame = 'earth' is not above 'camera_optical_frame' in /tf"):
        open_recording(folder, fixed_frame="earth")


def test_odometry_of_the_base(tmp_path: Path) -> None:
    bag = Bag()
    bag.mounted(START_NS)
    for view in VIEWS:
        bag.color(view)
        bag.depth(view)
        bag.odometry(base_of(view), view.stamp_ns)
    same(open_recording(bag.write(tmp_path / "bag")))


def test_odometry_of_a_frame_that_nothing_joins_to_the_camera(tmp_path: Path) -> None:
    bag = Bag()
    for view in VIEWS:
        bag.color(view)
        bag.depth(view)
        bag.odometry(view.T_world_camera, view.stamp_ns, child="imu")
    folder = bag.write(tmp_path / "bag")
    with pytest.raises(RecordingError, match="/odom is the pose of 'imu', and /tf_static does not lead from there"):
        open_recording(folder)
    same(open_recording(folder, pose_of="optical"))


@pytest.mark.parametrize("of", ["optical", "link", BASE])
def test_stamped_poses_say_what_they_are_of(tmp_path: Path, of: str) -> None:
    bag = Bag()
    bag.mounted(START_NS)
    pose = {"optical": lambda v: v.T_world_camera, "link": lambda v: link_from_camera(v.T_world_camera), BASE: base_of}
    for view in VIEWS:
        bag.color(view)
        bag.depth(view)
        bag.pose(pose[of](view), view.stamp_ns)
    folder = bag.write(tmp_path / "bag")
    same(open_recording(folder, pose_of=of))
    with pytest.raises(RecordingError, match="/pose does not say what it is the pose of: give pose_of=optical"):
        open_recording(folder)


def test_of_several_topics_of_poses_the_one_beside_the_camera_is_meant(tmp_path: Path) -> None:
    bag = Bag()
    for view in VIEWS:
        bag.color(view, topic="/robot/seed/image")
        bag.pose(link_from_camera(view.T_world_camera), view.stamp_ns, topic="/robot/seed/pose")
        bag.pose(view.T_world_camera, view.stamp_ns, topic="/robot/goal_pose")
    recording = open_recording(bag.write(tmp_path / "bag"))
    assert torch.allclose(recording.targets[3].T_world_camera, VIEWS[3].T_world_camera)
    assert recording[3].view.depth is None


def test_which_of_several_topics_of_poses_is_asked(tmp_path: Path) -> None:
    bag = Bag()
    for view in VIEWS:
        bag.color(view)
        for topic in ("/a", "/b"):
            bag.pose(view.T_world_camera, view.stamp_ns, topic=topic)
    folder = bag.write(tmp_path / "bag")
    with pytest.raises(RecordingError, match="/tf does not say how 'camera_optical_frame' moves: give pose_topic, one"):
        open_recording(folder)
    assert len(open_recording(folder, pose_topic="/a", pose_of="optical")) == 5
    with pytest.raises(RecordingError, match="pose_topic = '/c' is no topic of poses in the bag: /a, /b"):
        open_recording(folder, pose_topic="/c", pose_of="optical")


def test_a_camera_of_which_nothing_says_that_it_moves(tmp_path: Path) -> None:
    bag = Bag()
    bag.mounted(START_NS)
    for view in VIEWS:
        bag.color(view)
    folder = bag.write(tmp_path / "bag")
    with pytest.raises(
        RecordingError, match="and the bag has no poses: of a camera that stands still, give fixed_frame"
    ):
        open_recording(folder)
    assert len(open_recording(folder, fixed_frame=BASE)) == 5


def test_transforms_that_are_none_are_ignored_and_counted(tmp_path: Path) -> None:
    bag = rgbd(VIEWS)
    kind = "tf2_msgs/msg/TFMessage"

    def broken(types):
        message = next(make for topic, _, _, make in bag.messages if topic == "/tf")(types)
        message.transforms[0].transform.rotation.w = 7.0
        return message

    bag.add("/tf", kind, START_NS - PERIOD_NS, broken)
    recording = open_recording(bag.write(tmp_path / "bag"))
    assert recording.notes == (f"ignored 1 poses of {ODOM} -> {OPTICAL} that are no poses",)


@pytest.mark.parametrize(
    ("parents", "text"),
    [(("a", "b"), "frame 'camera_optical_frame' has several parents in /tf: a, b"), ((OPTICAL,), "its own ancestor")],
)
def test_trees_that_are_none(tmp_path: Path, parents: tuple[str, ...], text: str) -> None:
    bag = Bag()
    for view in VIEWS:
        bag.color(view)
        for parent in parents:
            bag.transform(view.T_world_camera, view.stamp_ns, parent=parent)
            bag.transform(view.T_world_camera, view.stamp_ns, parent=OPTICAL, child=parent)
    with pytest.raises(RecordingError, match=text):
        open_recording(bag.write(tmp_path / "bag"))


# Topics


def two_cameras() -> Bag:
    bag = rgbd(VIEWS)
    for view in VIEWS:
        bag.color(view, topic="/rear/image")
    return bag


def test_which_of_several_cameras_is_asked(tmp_path: Path) -> None:
    folder = two_cameras().write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=r"give image_topic, one of /camera/color/image_raw \(5 messages\), /rear"):
        open_recording(folder)
    same(open_recording(folder, image_topic=COLOR))
    rear = open_recording(folder, image_topic="/rear/image", depth_topic="none")
    assert rear[0].view.depth is None
    with pytest.raises(RecordingError, match="image_topic = '/front' is no topic of the bag with images in rgb8"):
        open_recording(folder, image_topic="/front")
    with pytest.raises(RecordingError, match="depth_topic = '/rear/image' is no topic of the bag with images in 32FC1"):
        open_recording(folder, image_topic=COLOR, depth_topic="/rear/image")


def test_depth_that_is_registered_is_preferred(tmp_path: Path) -> None:
    bag = rgbd(VIEWS)
    for view in VIEWS:
        far = dataclasses.replace(view, depth=view.depth + 5)
        bag.depth(far, topic="/camera/infra/depth", frame="infra_optical_frame")
        # A map of floats beside it is no depth.
        bag.depth(far, topic="/camera/color/confidence")
    same(open_recording(bag.write(tmp_path / "bag")))


def test_gray_images_beside_colour_are_no_second_camera(tmp_path: Path) -> None:
    bag = rgbd(VIEWS)

    def gray(types):
        message = image_to_message(types, VIEWS[0].image, header(types, "infra", START_NS))
        message.encoding, message.step, message.data = "mono8", 96, np.zeros(96 * 64, np.uint8)
        return message

    bag.add("/camera/infra/image_raw", "sensor_msgs/msg/Image", START_NS, gray)
    same(open_recording(bag.write(tmp_path / "bag")))


@pytest.mark.parametrize(
    ("left_out", "text"),
    [
        (COLOR, "the bag has no colour images: it has /camera/color/camera_info, /camera/depth/image_rect, /tf"),
        ("/camera/color/camera_info", "image_raw has no CameraInfo beside it: give camera_info_topic, it has none"),
        ("/tf", "the bag has no poses"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, left_out: str, text: str) -> None:
    bag = rgbd(VIEWS)
    bag.messages = [message for message in bag.messages if message[0] != left_out]
    with pytest.raises(RecordingError, match=text):
        open_recording(bag.write(tmp_path / "bag"))


@pytest.mark.parametrize("option", ["camera_info_topic", "depth_info_topic"])
def test_intrinsics_that_are_not_there(tmp_path: Path, option: str) -> None:
    folder = rgbd(VIEWS).write(tmp_path / "bag")
    with pytest.raises(RecordingError, match=f"{option} = '/info' is not in the bag: one of /camera/color/camera_info"):
        open_recording(folder, **{option: "/info"})


def test_images_that_name_no_frame(tmp_path: Path) -> None:
    bag = Bag()
    for view in VIEWS:
        bag.color(view, frame="")
        bag.transform(view.T_world_camera, view.stamp_ns)
    folder = bag.write(tmp_path / "bag")
    with pytest.raises(RecordingError, match="name no frame: give camera_frame"):
        open_recording(folder)
    assert len(open_recording(folder, camera_frame=OPTICAL)) == 5


# Lenses, and depth of another camera


def test_images_of_a_lens_are_rectified_and_its_corners_masked(tmp_path: Path) -> None:
    bag, lens = Bag(), [-0.25, 0.06, 0.0, 0.0, 0.0]
    K = CAMERA.K_opencv.numpy()
    point = np.array([[[0.4, 0.25, 1.0]]])
    u, v = cv2.projectPoints(point, np.zeros(3), np.zeros(3), K, np.array(lens))[0].ravel().round().astype(int)
    image = torch.zeros(64, 96, 3, dtype=torch.uint8)
    image[v - 1 : v + 2, u - 1 : u + 2] = 255
    view = dataclasses.replace(VIEWS[0], image=image)
    bag.color(view, lens=lens)
    bag.depth(view)
    bag.info(CAMERA, START_NS, topic=DEPTH_INFO, lens=lens)
    bag.transform(view.T_world_camera, view.stamp_ns)
    folder = bag.write(tmp_path / "bag")
    frame = open_recording(folder)[0]
    expected = (K @ point.ravel())[:2]
    row, column = torch.nonzero(frame.view.image[..., 0] > 200).double().mean(dim=0).tolist()
    assert abs(column - expected[0]) < 0.8
    assert abs(row - expected[1]) < 0.8
    assert frame.mask is not None
    # This lens sees more than the pinhole camera, whose corners it fills.
    assert not frame.mask[0, 0]
    raw = open_recording(folder, rectified=True)[0]
    assert torch.equal(raw.view.image, image)
    assert raw.mask is None


def test_depth_of_another_camera_is_registered(tmp_path: Path) -> None:
    """A coarser one beside colour, in frames of its own: its depth is what the colour camera would have measured."""
    depth_camera = Camera.from_fov(64, 48, 80)
    T_color_depth = torch.eye(4, dtype=torch.float64)
    T_color_depth[0, 3] = 0.05
    bag = Bag()
    bag.transform(T_color_depth, START_NS, parent=OPTICAL, child="depth_optical_frame", static=True)
    for view in VIEWS:
        bag.color(view)
        beside = two_walls(view.T_world_camera @ T_color_depth, camera=depth_camera)
        bag.depth(dataclasses.replace(beside, stamp_ns=view.stamp_ns), frame="depth_optical_frame")
        bag.info(depth_camera, view.stamp_ns, topic=DEPTH_INFO, frame="depth_optical_frame")
        bag.transform(view.T_world_camera, view.stamp_ns)
    for frame, view in zip(open_recording(bag.write(tmp_path / "bag")).frames(), VIEWS, strict=True):
        error = (frame.view.depth - view.depth).abs()
        assert float(error.isnan().float().mean()) < 0.1
        assert float(error.nanmedian()) < 0.01
        assert float((error > 0.1).float().mean()) < 0.05


def test_depth_of_another_frame_needs_intrinsics_and_a_place(tmp_path: Path) -> None:
    bag = Bag()
    for view in VIEWS:
        bag.color(view)
        bag.depth(view, frame="depth_optical_frame")
        bag.transform(view.T_world_camera, view.stamp_ns)
    folder = bag.write(tmp_path / "bag")
    with pytest.raises(
        RecordingError, match=r"is measured in 'depth_optical_frame'.* and has no CameraInfo: give depth_"
    ):
        open_recording(folder)[0]
    same(open_recording(folder, depth_registered=True))
    for view in VIEWS:
        bag.info(CAMERA, view.stamp_ns, topic=DEPTH_INFO)
    with pytest.raises(RecordingError, match=r"frame 'depth_optical_frame' is unknown; .* give depth_registered=true"):
        open_recording(bag.write(tmp_path / "bag"))[0]


def test_intrinsics_that_change(tmp_path: Path) -> None:
    """A zoom lens: each image has the intrinsics that held when it was taken."""
    bag = Bag()
    for i, view in enumerate(VIEWS):
        bag.color(dataclasses.replace(view, camera=Camera.from_fov(96, 64, 70 - 10 * (i >= 3))))
        bag.transform(view.T_world_camera, view.stamp_ns)
    found = [target.camera.fx for target in open_recording(bag.write(tmp_path / "bag")).targets]
    assert found == pytest.approx([CAMERA.fx] * 3 + [Camera.from_fov(96, 64, 60).fx] * 2)


# Damage


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.95])
def test_a_truncated_bag_is_named(tmp_path: Path, storage, share: float) -> None:
    folder = rgbd(VIEWS).write(tmp_path / "bag", storage=storage)
    (file,) = [f for f in folder.iterdir() if f.suffix in (".mcap", ".db3")]
    truncate(file, share)
    with pytest.raises(RecordingError, match=r"bag .* cannot be (opened|read): .*if it is truncated"):
        list(open_recording(folder).frames())


def test_several_files_without_metadata(tmp_path: Path) -> None:
    folder = rgbd(VIEWS).write(tmp_path / "bag")
    (folder / "second.mcap").write_bytes((folder / "bag.mcap").read_bytes())
    (folder / "metadata.yaml").unlink()
    with pytest.raises(RecordingError, match=r"has no metadata.yaml and 2 files of a bag: try `ros2 bag reindex`"):
        open_recording(folder)


def test_images_that_do_not_fit_their_intrinsics_or_are_cut_off(tmp_path: Path) -> None:
    bag = Bag()
    for view in VIEWS:
        bag.color(view)
        bag.transform(view.T_world_camera, view.stamp_ns)

    def spoil(message):
        if message.header.stamp.nanosec == (START_NS + PERIOD_NS) % 1_000_000_000:
            message.data = message.data[:100]
        return message

    topic, kind, now, make = bag.messages[3]
    bag.messages[3] = (topic, kind, now, lambda types: spoil(make(types)))
    bag.messages[6] = (topic, kind, VIEWS[2].stamp_ns, _small)
    recording = open_recording(bag.write(tmp_path / "bag"))
    with pytest.raises(RecordingError, match=r"/camera/color/image_raw at .* s: data has 100 bytes, .*truncated"):
        recording[1]
    with pytest.raises(RecordingError, match=r"image_raw at .* s is 48 x 32, but its intrinsics are for 96 x 64"):
        recording[2]
    assert torch.equal(recording[3].view.image, VIEWS[3].image)


def _small(types):
    return image_to_message(types, VIEWS[2].image[::2, ::2], header(types, OPTICAL, VIEWS[2].stamp_ns))


def test_options_that_cannot_be(tmp_path: Path) -> None:
    folder = rgbd(VIEWS).write(tmp_path / "bag")
    with pytest.raises(RecordingError, match="gaps = 'ignore': use error or skip"):
        open_recording(folder, gaps="ignore")
    with pytest.raises(RecordingError, match="layout 'bag' has no option topic: it has image_topic"):
        open_recording(folder, topic="/x")


def test_the_link_is_a_frame_like_others(tmp_path: Path) -> None:
    """Odometry of the camera link itself, as visual-inertial trackers publish it."""
    bag = Bag()
    bag.mounted(START_NS)
    for view in VIEWS:
        bag.color(view)
        bag.depth(view)
        bag.odometry(link_from_camera(view.T_world_camera), view.stamp_ns, child=LINK)
    same(open_recording(bag.write(tmp_path / "bag")))


def test_compressed_images_and_depth(tmp_path: Path) -> None:
    """The same stream raw and compressed is one camera; alone, compressed ones are read."""
    bag = Bag()
    for view in VIEWS:
        bag.color(view)
        bag.color_compressed(view)
        bag.depth_compressed(view)
        bag.transform(view.T_world_camera, view.stamp_ns)
    folder = bag.write(tmp_path / "bag")
    same(open_recording(folder), depth_m=0.51e-3)
    same(open_recording(folder, image_topic=f"{COLOR}/compressed"), depth_m=0.51e-3)
    bag.messages = [message for message in bag.messages if message[0] != COLOR]
    same(open_recording(bag.write(tmp_path / "bag")), depth_m=0.51e-3)


def test_a_closed_bag_cannot_be_read(tmp_path: Path) -> None:
    with open_recording(rgbd(VIEWS).write(tmp_path / "bag")) as recording:
        assert torch.equal(recording[0].view.image, VIEWS[0].image)
    with pytest.raises(RecordingError, match="cannot be read"):
        recording[1]
