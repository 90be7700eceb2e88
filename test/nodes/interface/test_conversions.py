"""Messages and arrays: round trips, the half pixel, encodings, and what malformed messages are told."""

from array import array

import cv2
import numpy as np
import pytest
import torch
from geometry_msgs.msg import Point, Pose, Quaternion
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from vmem_ros.errors import InvalidCameraError, InvalidImageError, InvalidPoseError
from vmem_ros.geometry import Camera, pose_from, project
from vmem_ros.nodes.interface import conversions as c

HEAD = c.header("map", 1_500_000_002)
RNG = np.random.default_rng(3)


def color_message(encoding: str, pixels: np.ndarray, *, padding: int = 0) -> Image:
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    return Image(
        height=height, width=width, encoding=encoding, step=rows.shape[1], data=array("B", rows.astype("u1").tobytes())
    )


def depth_message(encoding: str, depth: np.ndarray, *, big: bool = False) -> Image:
    dtype = {"32FC1": "f4", "16UC1": "u2"}[encoding]
    raw = depth.astype((">" if big else "<") + dtype)
    return Image(
        height=depth.shape[0],
        width=depth.shape[1],
        encoding=encoding,
        step=depth.shape[1] * raw.itemsize,
        is_bigendian=int(big),
        data=array("B", raw.tobytes()),
    )


class TestTime:
    @settings(deadline=None)
    @given(st.integers(0, 2**31 * 10**9 - 1))
    def test_round_trip(self, stamp_ns: int) -> None:
        assert c.stamp_to_ns(c.ns_to_stamp(stamp_ns)) == stamp_ns


class TestBytes:
    def test_every_form_becomes_an_array_of_bytes(self) -> None:
        """Setters of messages convert anything else element by element, up to a thousand times slower."""
        for values in (torch.arange(6, dtype=torch.float32), np.arange(6, dtype=np.float32)):
            data = c.byte_array(values)
            assert isinstance(data, array)
            assert data.typecode == "B"
            np.testing.assert_array_equal(np.frombuffer(data, np.float32), values)

    def test_empty(self) -> None:
        assert len(c.byte_array(np.zeros((0, 8), np.float32))) == 0

    def test_strided_values_are_copied_in_order(self) -> None:
        values = np.arange(24, dtype=np.uint8).reshape(4, 6)[:, ::2]
        assert bytes(c.byte_array(values)) == values.tobytes()


class TestColorImages:
    @pytest.mark.parametrize("padding", [0, 7])
    @pytest.mark.parametrize(
        ("encoding", "channels"), [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2]), ("bgra8", [2, 1, 0])]
    )
    def test_channel_order_and_step(self, encoding: str, channels: list[int], padding: int) -> None:
        pixels = RNG.integers(0, 256, (5, 6, 4 if "a" in encoding else 3))
        np.testing.assert_array_equal(
            c.image_from_message(color_message(encoding, pixels, padding=padding)), pixels[..., channels]
        )

    def test_mono_becomes_grey(self) -> None:
        pixels = RNG.integers(0, 256, (5, 6, 1))
        np.testing.assert_array_equal(c.image_from_message(color_message("mono8", pixels)), np.repeat(pixels, 3, 2))

    def test_round_trip_does_not_alias_the_message(self) -> None:
        image = torch.from_numpy(RNG.integers(0, 256, (5, 6, 3)).astype(np.uint8))
        message = c.image_to_message(image, HEAD)
        read = c.image_from_message(message)
        np.testing.assert_array_equal(read, image)
        read[:] = 0
        np.testing.assert_array_equal(c.image_from_message(message), image)
        assert (message.encoding, message.step, message.is_bigendian) == ("rgb8", 18, 0)
        assert message.header == HEAD

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"encoding": "yuv422"}, "rgb8, bgr8, rgba8, bgra8, mono8"),
            ({"encoding": "16UC1"}, "rgb8"),
            ({"step": 17}, "step is 17 bytes, but 6 pixels of rgb8 need 18"),
            ({"data": array("B", bytes(80))}, "data has 80 bytes, but 5 rows of 18 make 90"),
            ({"height": 0}, "empty"),
            ({"width": 0}, "empty"),
        ],
    )
    def test_malformed(self, change: dict, text: str) -> None:
        message = color_message("rgb8", np.zeros((5, 6, 3)))
        for name, value in change.items():
            setattr(message, name, value)
        with pytest.raises(InvalidImageError, match=text):
            c.image_from_message(message)

    def test_jpeg_decodes_to_the_same_colors(self) -> None:
        image = np.zeros((32, 32, 3), np.uint8)
        image[..., 0] = 200
        message = c.jpeg_to_message(image, HEAD, quality=95)
        decoded = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(decoded.astype(int) - image).max() <= 3
        assert message.format == "rgb8; jpeg compressed bgr8"


class TestDepth:
    @pytest.mark.parametrize("big", [False, True])
    def test_millimetres(self, big: bool) -> None:
        read = c.depth_from_message(depth_message("16UC1", np.array([[0, 1500], [2000, 65535]]), big=big))
        np.testing.assert_allclose(read, [[np.nan, 1.5], [2.0, 65.535]], rtol=1e-6)

    @pytest.mark.parametrize("big", [False, True])
    def test_metres_keep_unknown_and_out_of_range(self, big: bool) -> None:
        depth = np.array([[np.nan, 1.5, np.inf], [0.0, -np.inf, 2.5]])
        expected = [[np.nan, 1.5, np.inf], [np.nan, np.nan, 2.5]]
        np.testing.assert_array_equal(c.depth_from_message(depth_message("32FC1", depth, big=big)), expected)

    def test_written_maps_read_back(self) -> None:
        depth = torch.tensor([[1.0, torch.nan], [torch.inf, 0.25]])
        message = c.map_to_message(depth, HEAD)
        np.testing.assert_array_equal(c.depth_from_message(message), depth)
        np.testing.assert_array_equal(c.map_from_message(message), depth)
        assert (message.encoding, message.step) == ("32FC1", 8)

    @pytest.mark.parametrize(("encoding", "value"), [("32FC1", 1800.0), ("16UC1", 3)])
    def test_wrong_unit_is_noticed(self, encoding: str, value: float) -> None:
        with pytest.raises(InvalidImageError, match="unit is probably wrong"):
            c.depth_from_message(depth_message(encoding, np.full((3, 3), value)))

    def test_nothing_valid_is_no_error(self) -> None:
        assert np.isnan(c.depth_from_message(depth_message("16UC1", np.zeros((2, 2))))).all()

    def test_other_encodings(self) -> None:
        with pytest.raises(InvalidImageError, match=r"32FC1 \(metres\) or 16UC1 \(millimetres\), got '64FC1'"):
            c.depth_from_message(Image(height=1, width=1, encoding="64FC1", step=8, data=array("B", bytes(8))))

    def test_truncated(self) -> None:
        message = depth_message("32FC1", np.ones((3, 3)))
        message.data = message.data[:-1]
        with pytest.raises(InvalidImageError, match="truncated"):
            c.depth_from_message(message)


class TestCameras:
    def test_half_pixel_both_ways(self) -> None:
        camera = Camera(torch.tensor([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]]), 640, 480)
        info = c.camera_to_message(camera, HEAD)
        assert (info.k[2], info.k[5]) == (319.5, 239.5)
        assert c.camera_from_message(info) == camera

    def test_projection_agrees_with_opencv(self) -> None:
        """OpenCV, like every ROS tool, puts pixel centres at integers: its pixels are ours minus one half."""
        camera = Camera(torch.tensor([[500.0, 0, 321], [0, 510, 237], [0, 0, 1]]), 640, 480)
        points = torch.tensor([[0.3, -0.2, 2.0], [-1.0, 0.4, 5.0]], dtype=torch.float64)
        K = np.array(c.camera_to_message(camera, HEAD).k).reshape(3, 3)
        pixels, _ = cv2.projectPoints(points.numpy(), np.zeros(3), np.zeros(3), K, np.zeros(5))
        np.testing.assert_allclose(pixels[:, 0], project(points, camera)[0] - 0.5, atol=1e-9)

    def test_rviz_finds_a_projection_matrix(self) -> None:
        info = c.camera_to_message(Camera.from_fov(64, 48, 90), HEAD)
        P = np.array(info.p).reshape(3, 4)
        np.testing.assert_array_equal(P[:, :3].reshape(9), info.k)
        np.testing.assert_array_equal(P[:, 3], 0)
        np.testing.assert_array_equal(info.r, np.eye(3).reshape(9))
        assert (info.distortion_model, list(info.d)) == ("plumb_bob", [0.0] * 5)

    @settings(deadline=None)
    @given(st.floats(20, 140), st.integers(16, 2000), st.integers(16, 2000))
    def test_round_trip(self, fov: float, width: int, height: int) -> None:
        try:
            camera = Camera.from_fov(width, height, fov)
        except InvalidCameraError:
            return  # a slit: its vertical field of view is out of range
        back = c.camera_from_message(c.camera_to_message(camera, HEAD))
        torch.testing.assert_close(back.K, camera.K, rtol=0, atol=1e-9)
        assert back.size == camera.size

    def test_rectified_images_are_described_by_p(self) -> None:
        info = c.camera_to_message(Camera.from_fov(64, 48, 90), HEAD)
        info.d = [0.1, 0.0, 0.0, 0.0, 0.0]
        info.k[0] = 99.0
        with pytest.raises(InvalidCameraError, match="rectify the image"):
            c.camera_from_message(info)
        assert c.camera_from_message(info, rectified=True) == Camera.from_fov(64, 48, 90)

    @pytest.mark.parametrize(
        ("change", "text"),
        [
            ({"k": np.zeros(9)}, "last row 0 0 1"),
            ({"k": np.array([0.0, 0, 3, 0, 0, 3, 0, 0, 1])}, "uncalibrated"),
            ({"k": np.full(9, np.nan)}, "finite"),
            ({"width": 0}, "width must be 1 to"),
            ({"binning_x": 2}, "binning 2 x 0"),
            ({"r": np.diag([1.0, -1.0, -1.0]).reshape(9)}, "rotation must be the identity"),
        ],
    )
    def test_refused(self, change: dict, text: str) -> None:
        info = c.camera_to_message(Camera.from_fov(64, 48, 90), HEAD)
        for name, value in change.items():
            setattr(info, name, value)
        with pytest.raises(InvalidCameraError, match=text):
            c.camera_from_message(info)

    def test_cropped_is_refused_but_the_full_region_is_not(self) -> None:
        info = c.camera_to_message(Camera.from_fov(64, 48, 90), HEAD)
        info.roi.width, info.roi.height = 64, 48
        c.camera_from_message(info)
        info.roi.width = 32
        with pytest.raises(InvalidCameraError, match="region of interest"):
            c.camera_from_message(info)

    def test_empty_message_is_refused(self) -> None:
        with pytest.raises(InvalidCameraError):
            c.camera_from_message(CameraInfo())


class TestPoses:
    def test_link_looks_along_x_with_z_up(self) -> None:
        """A link at the origin looks along the world's x, the picture's right is the world's -y, its down is -z."""
        T = c.camera_from_link(torch.eye(4, dtype=torch.float64))
        np.testing.assert_array_equal(T[:3, :3] @ torch.tensor([0.0, 0, 1]).double(), [1, 0, 0])
        np.testing.assert_array_equal(T[:3, :3] @ torch.tensor([1.0, 0, 0]).double(), [0, -1, 0])
        np.testing.assert_array_equal(T[:3, :3] @ torch.tensor([0.0, 1, 0]).double(), [0, 0, -1])

    def test_optical_frame_has_the_roll_pitch_yaw_of_rep_103(self) -> None:
        expected = Rotation.from_euler("xyz", [-90, 0, -90], degrees=True).as_matrix()
        np.testing.assert_allclose(c.T_LINK_OPTICAL[:3, :3], expected, atol=1e-12)

    @settings(deadline=None)
    @given(st.lists(st.floats(-100, 100), min_size=3, max_size=3), st.integers(0, 10_000))
    def test_round_trips(self, position: list[float], seed: int) -> None:
        T = pose_from(position, Rotation.random(random_state=seed).as_quat())
        torch.testing.assert_close(c.pose_from_message(c.pose_to_message(T)), T, rtol=0, atol=1e-9)
        torch.testing.assert_close(c.camera_from_link(c.link_from_camera(T)), T, rtol=0, atol=1e-9)
        stamped = c.transform_to_message(T, HEAD, "child")
        torch.testing.assert_close(c.transform_from_message(stamped.transform), T, rtol=0, atol=1e-9)
        assert (stamped.header.frame_id, stamped.child_frame_id) == ("map", "child")

    @pytest.mark.parametrize(
        ("pose", "text"),
        [
            (Pose(position=Point(x=float("nan"))), "not finite"),
            (Pose(orientation=Quaternion(x=0.0, y=0.0, z=0.0, w=0.0)), "norm 0"),
            (Pose(orientation=Quaternion(x=1.0, y=0.0, z=0.0, w=1.0)), "normalise"),
            (Pose(orientation=Quaternion(w=float("inf"))), "not finite"),
        ],
    )
    def test_refused(self, pose: Pose, text: str) -> None:
        with pytest.raises(InvalidPoseError, match=text):
            c.pose_from_message(pose)


class TestClouds:
    def surfels(self, n: int) -> PointCloud2:
        self.position = torch.randn(n, 3)
        self.color = torch.randint(0, 256, (n, 3), dtype=torch.uint8)
        self.normal = torch.randn(n, 3)
        self.radius = torch.rand(n)
        return c.surfels_to_message(self.position, self.color, self.normal, self.radius, HEAD)

    def test_surfels_are_32_bytes_and_read_back(self) -> None:
        message = self.surfels(10)
        assert (message.point_step, message.row_step, message.width, message.height) == (32, 320, 10, 1)
        names = ["x", "y", "z", "rgb", "normal_x", "normal_y", "normal_z", "radius"]
        assert [f.name for f in message.fields] == names
        read = c.cloud_from_message(message)
        np.testing.assert_array_equal(np.stack([read[a] for a in "xyz"], 1), self.position)
        np.testing.assert_array_equal(read["rgb"], self.color)
        np.testing.assert_array_equal(np.stack([read[f"normal_{a}"] for a in "xyz"], 1), self.normal)
        np.testing.assert_array_equal(read["radius"], self.radius)

    def test_color_bytes_are_little_endian_0x00rrggbb(self) -> None:
        message = c.points_to_message(torch.zeros(1, 3), torch.tensor([[1, 2, 3]]).byte(), torch.ones(1), HEAD)
        assert bytes(message.data[12:16]) == bytes([3, 2, 1, 0])

    def test_points_carry_confidence_as_intensity(self) -> None:
        confidence = torch.tensor([0.25, 1.0])
        message = c.points_to_message(torch.ones(2, 3), torch.zeros(2, 3).byte(), confidence, HEAD)
        assert message.point_step == 20
        np.testing.assert_array_equal(c.cloud_from_message(message)["intensity"], confidence)

    def test_empty(self) -> None:
        message = self.surfels(0)
        assert message.width == 0
        assert len(c.cloud_from_message(message)["x"]) == 0

    def test_truncated(self) -> None:
        message = self.surfels(3)
        message.data = message.data[:-4]
        with pytest.raises(InvalidImageError, match="92 bytes, 3 points need 96"):
            c.cloud_from_message(message)
