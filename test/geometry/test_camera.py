"""Intrinsics: what is refused, and what resizing and widening mean for the picture."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import properties  # noqa: F401 (lifts the time limit)
from vmem_ros.errors import InvalidCameraError
from vmem_ros.geometry import Camera, project

sides = st.integers(8, 2000)
points = st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.1, 20))


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    width = draw(sides)
    height = round(width * draw(st.floats(0.3, 3)))
    focal = max(width, height) * draw(st.floats(0.4, 3))
    skew, aspect = draw(st.floats(-2, 2)), draw(st.floats(0.8, 1.25))
    cx, cy = width * draw(st.floats(0.3, 0.7)), height * draw(st.floats(0.3, 0.7))
    return Camera([[focal, skew, cx], [0, focal * aspect, cy], [0, 0, 1]], width, height)


def pixel(camera: Camera, point: tuple[float, float, float]) -> torch.Tensor:
    return project(torch.tensor(point, dtype=torch.float64), camera)[0]


def K(fx=100.0, fy=100.0, cx=50.0, cy=40.0, **entries):
    matrix = torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)
    for name, value in entries.items():
        matrix[int(name[1]), int(name[2])] = value
    return matrix


class TestExceptions:
    @pytest.mark.parametrize(
        ("matrix", "size", "message"),
        [
            (torch.eye(4), (100, 80), "shape"),
            (K(fx=math.nan), (100, 80), "finite"),
            (K(k01=math.inf), (100, 80), "finite"),
            (K(k20=0.1), (100, 80), "last row"),
            (K().mT, (100, 80), "last row"),
            (K(k10=0.1), (100, 80), "upper triangular"),
            (K(fx=0), (100, 80), "fx = 0 px"),
            (K(fy=-100), (100, 80), "fy = -100 px"),
            (K(fx=1.2), (100, 80), "fx = 1.2 px"),
            (K(fy=1e6), (100, 80), "fy = 1e"),
            (K(cx=900), (100, 80), "principal point"),
            (K(cy=-81), (100, 80), "principal point"),
            (K(), (0, 80), "width"),
            (K(), (100, -1), "height"),
            (K(), (100, 20000), "height"),
        ],
    )
    def test_names_what_is_wrong(self, matrix, size, message):
        with pytest.raises(InvalidCameraError, match=message):
            Camera(matrix, *size)

    @pytest.mark.parametrize("fov", [0, -60, 180, math.nan])
    def test_fov(self, fov):
        with pytest.raises(InvalidCameraError, match="fov_deg"):
            Camera.from_fov(64, 48, fov)


class TestValues:
    @given(sides, st.floats(0.3, 1.5), st.floats(10, 140))
    def test_from_fov(self, width, aspect, fov):
        camera = Camera.from_fov(width, round(width * aspect), fov)
        edge = pixel(camera, (math.tan(math.radians(fov / 2)), 0.0, 1.0))
        assert edge.tolist() == pytest.approx([camera.width, camera.height / 2])
        assert camera.fx == camera.fy

    @given(cameras(), sides, sides, points)
    def test_resized_shows_the_same_picture(self, camera, width, height, point):
        resized = camera.resized(width, height)
        assert resized.size == (height, width)
        scale = torch.tensor([width / camera.width, height / camera.height], dtype=torch.float64)
        assert torch.allclose(pixel(resized, point), pixel(camera, point) * scale)

    @given(cameras(), sides, sides)
    def test_resized_back(self, camera, width, height):
        back = camera.resized(width, height).resized(camera.width, camera.height)
        assert torch.allclose(back.K, camera.K, rtol=1e-12)

    @given(cameras(), st.floats(1, 1.5), points)
    def test_widened_shrinks_the_picture_about_the_principal_point(self, camera, scale, point):
        centre = torch.tensor([camera.cx, camera.cy], dtype=torch.float64)
        wide = camera.widened(scale)
        assert wide.size == camera.size
        assert torch.allclose(pixel(wide, point) - centre, (pixel(camera, point) - centre) / scale)

    def test_no_lens_is_widened_beyond_what_a_camera_may_be(self):
        wide = Camera.from_fov(64, 48, 174)
        assert wide.widened(1.25).fx < wide.fx
        assert Camera.from_fov(64, 48, 175).widened(1.25).fx == pytest.approx(Camera.from_fov(64, 48, 175).fx)

    def test_properties(self):
        camera = Camera([[100, 1, 50], [0, 110, 40], [0, 0, 1]], 102, 82)
        assert (camera.fx, camera.fy, camera.cx, camera.cy, camera.size) == (100, 110, 50, 40, (82, 102))

    def test_equality_is_of_values(self):
        a, b = Camera.from_fov(64, 48, 60), Camera.from_fov(64, 48, 60)
        assert a == b
        assert hash(a) == hash(b)
        assert a != Camera.from_fov(64, 48, 60.001)
        assert a != Camera(a.K, 64, 49)
        assert a != "camera"

    def test_keeps_its_own_matrix(self):
        matrix = K()
        camera = Camera(matrix, 100, 80)
        matrix[0, 0] = 1
        assert camera.fx == 100


def test_opencv_puts_pixel_centres_at_integers():
    K = torch.tensor([[500.0, 0, 319.5], [0, 510, 239.5], [0, 0, 1]], dtype=torch.float64)
    camera = Camera.from_opencv(K, 640, 480)
    assert (camera.cx, camera.cy, camera.fx) == (320, 240, 500)
    assert torch.equal(camera.K_opencv, K)
    # The point that OpenCV sees at the centre of the first pixel, 0 0.
    ray = torch.linalg.inv(K) @ torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    torch.testing.assert_close(project(ray, camera)[0], torch.tensor([0.5, 0.5], dtype=torch.float64))


def test_opencv_intrinsics_are_checked_like_others():
    with pytest.raises(InvalidCameraError, match="shape"):
        Camera.from_opencv(torch.eye(4), 640, 480)
