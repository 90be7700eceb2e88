"""Photographs of every kind as views: upright, in colour, with the field of view that they say; or a named error."""

import math

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from vmem_ros.errors import InvalidCameraError, InvalidImageError
from vmem_ros.showcase.photo import read_photo


def gradient(height: int = 60, width: int = 90) -> np.ndarray:
    """Return a picture that differs in every corner, uint8 [H, W, 3]."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 2, y * 3, 255 - x - y], axis=-1).clip(0, 255).astype(np.uint8)


def save(path, picture: Image.Image, **exif: float) -> None:
    tags = Image.Exif()
    if "orientation" in exif:
        tags[ExifTags.Base.Orientation] = exif["orientation"]
    if "focal" in exif:
        tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = exif["focal"]
    picture.save(path, exif=tags)


def read(path, **options):
    return read_photo(path, None, **({"fov_deg": None, "max_width": 500} | options))


class TestKinds:
    def test_colour(self, tmp_path):
        Image.fromarray(gradient()).save(tmp_path / "a.png")
        view = read(tmp_path / "a.png")
        assert torch.equal(view.image, torch.from_numpy(gradient()))
        assert view.depth is None
        assert view.source == "observed"

    @pytest.mark.parametrize(("tag", "turned"), [(3, lambda a: a[::-1, ::-1]), (6, lambda a: np.rot90(a, -1))])
    def test_turned_as_its_exif_says(self, tmp_path, tag, turned):
        save(tmp_path / "a.png", Image.fromarray(gradient()), orientation=tag)
        assert torch.equal(read(tmp_path / "a.png").image, torch.from_numpy(turned(gradient()).copy()))

    def test_grey_is_grey_in_all_colours(self, tmp_path):
        Image.fromarray(gradient()[..., 0]).save(tmp_path / "a.png")
        image = read(tmp_path / "a.png").image
        assert torch.equal(image, torch.from_numpy(gradient()[..., :1]).expand(-1, -1, 3))

    def test_sixteen_bits_keep_their_brightness(self, tmp_path):
        Image.fromarray(gradient()[..., 0].astype(np.uint16) * 257).save(tmp_path / "a.png")
        assert torch.equal(read(tmp_path / "a.png").image[..., 1], torch.from_numpy(gradient()[..., 0]))

    def test_what_is_transparent_is_white(self, tmp_path):
        alpha = np.full((60, 90, 1), 255, np.uint8)
        alpha[:30] = 0
        Image.fromarray(np.concatenate([gradient(), alpha], axis=-1)).save(tmp_path / "a.png")
        image = read(tmp_path / "a.png").image
        assert (image[:30] == 255).all()
        assert torch.equal(image[30:], torch.from_numpy(gradient()[30:]))

    def test_few_colours(self, tmp_path):
        few = Image.fromarray(gradient()).quantize(16)
        few.save(tmp_path / "a.gif")
        assert torch.equal(read(tmp_path / "a.gif").image, torch.from_numpy(np.asarray(few.convert("RGB")).copy()))

    def test_large_ones_are_scaled_down(self, tmp_path):
        Image.fromarray(gradient(400, 300)).save(tmp_path / "a.png")
        assert read(tmp_path / "a.png", max_width=150).camera.size == (200, 150)


class TestFieldOfView:
    @pytest.mark.parametrize(("height", "width"), [(60, 90), (90, 60)])
    def test_sixty_degrees_along_the_longer_side(self, tmp_path, height, width):
        Image.fromarray(gradient(height, width)).save(tmp_path / "a.png")
        camera = read(tmp_path / "a.png").camera
        assert math.degrees(2 * math.atan(45 / camera.fx)) == pytest.approx(60)
        assert camera.fx == camera.fy

    def test_what_the_lens_says(self, tmp_path):
        save(tmp_path / "a.jpg", Image.fromarray(gradient()), focal=26)
        camera = read(tmp_path / "a.jpg").camera
        assert camera.fx == pytest.approx(90 * 26 / 36)

    def test_what_the_user_says_comes_first(self, tmp_path):
        save(tmp_path / "a.jpg", Image.fromarray(gradient()), focal=26)
        assert read(tmp_path / "a.jpg", fov_deg=90.0).camera.fx == pytest.approx(45)

    def test_none_that_a_camera_has(self, tmp_path):
        Image.fromarray(gradient()).save(tmp_path / "a.png")
        with pytest.raises(InvalidCameraError, match="fov_deg"):
            read(tmp_path / "a.png", fov_deg=200.0)


class TestErrors:
    @pytest.mark.parametrize(
        ("height", "width", "complaint"),
        [(10, 90, "needs 32 pixels along each side"), (40, 300, "a panorama is no picture of one camera")],
    )
    def test_sizes(self, tmp_path, height, width, complaint):
        Image.fromarray(gradient(height, width)).save(tmp_path / "a.png")
        with pytest.raises(InvalidImageError, match=complaint):
            read(tmp_path / "a.png")

    @pytest.mark.parametrize("name", ["a.png", "a.jpg"])
    def test_half_a_file(self, tmp_path, name):
        Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)).save(tmp_path / name)
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(InvalidImageError, match="cannot read the image"):
            read(tmp_path / name)

    def test_numbers_that_are_no_brightness(self, tmp_path):
        Image.fromarray(np.zeros((60, 90), np.float32)).save(tmp_path / "a.tiff")
        with pytest.raises(InvalidImageError, match="floating-point pixels"):
            read(tmp_path / "a.tiff")

    def test_more_pixels_than_anybody_means(self, tmp_path, monkeypatch):
        Image.fromarray(gradient()).save(tmp_path / "a.png")
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
        with pytest.raises(InvalidImageError, match="cannot read the image"):
            read(tmp_path / "a.png")
