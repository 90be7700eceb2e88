"""Encodings of colour images: how their bytes lie, and what makes RGB of them.

Names are those of ``sensor_msgs/image_encodings.hpp``, besides nv12, which drivers use although ROS does not list it.
Generic ones (``8UC3``) hold what OpenCV holds: blue first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2

_RGB, _BGR, _GREY = (0, 1, 2), (2, 1, 0), (0, 0, 0)
#: Planes of brightness and, below it, of colour: at half the resolution or at the whole.
Planes = Literal["4:2:0", "4:4:4"]


@dataclass(frozen=True)
class ColorEncoding:
    """One encoding.

    :param dtype: of a sample, ``u1`` or ``u2``; 16 bits are scaled to 8.
    :param channels: samples of a pixel in a row.
    :param order: which of them are red, green and blue; ``None`` where ``code`` makes them.
    :param code: OpenCV's conversion to RGB.
    :param planes: brightness and colour lie one below the other.
    :param bridge: its name for cv_bridge; empty where that does not know it, or where it is only a matter of order.
    """

    dtype: str
    channels: int
    order: tuple[int, int, int] | None = None
    code: int | None = None
    planes: Planes | None = None
    bridge: str = ""

    @property
    def even(self) -> bool:
        """Whether neighbouring pixels share their colour, so that width must be even (and height with planes)."""
        return self.code is not None and (self.channels == 2 or self.planes == "4:2:0")


def _ordered(name: str, channels: int, order: tuple[int, int, int]) -> dict[str, ColorEncoding]:
    return {
        f"{name}8": ColorEncoding("u1", channels, order),
        f"{name}16": ColorEncoding("u2", channels, order, bridge=f"{name}16"),
    }


def _bayer(pattern: str, code: int) -> dict[str, ColorEncoding]:
    """Return both depths of a pattern, which names the first two pixels of the first two rows."""
    names = {f"bayer_{pattern}{bits}": f"u{bits // 8}" for bits in (8, 16)}
    return {name: ColorEncoding(dtype, 1, code=code, bridge=name) for name, dtype in names.items()}


_UYVY = ColorEncoding("u1", 2, code=cv2.COLOR_YUV2RGB_UYVY, bridge="yuv422")
_YUYV = ColorEncoding("u1", 2, code=cv2.COLOR_YUV2RGB_YUY2, bridge="yuv422_yuy2")

#: All that are read, by name.
COLOR_ENCODINGS: dict[str, ColorEncoding] = {
    **_ordered("rgb", 3, _RGB),
    **_ordered("bgr", 3, _BGR),
    **_ordered("rgba", 4, _RGB),
    **_ordered("bgra", 4, _BGR),
    **_ordered("mono", 1, _GREY),
    "8UC1": ColorEncoding("u1", 1, _GREY),
    "8UC3": ColorEncoding("u1", 3, _BGR),
    "8UC4": ColorEncoding("u1", 4, _BGR),
    "16UC1": ColorEncoding("u2", 1, _GREY, bridge="mono16"),
    "16UC3": ColorEncoding("u2", 3, _BGR, bridge="bgr16"),
    "16UC4": ColorEncoding("u2", 4, _BGR, bridge="bgra16"),
    # OpenCV names patterns after the second and third pixel of the second and third row, unless four letters say all.
    **_bayer("rggb", cv2.COLOR_BayerRGGB2RGB),
    **_bayer("bggr", cv2.COLOR_BayerBGGR2RGB),
    **_bayer("gbrg", cv2.COLOR_BayerGBRG2RGB),
    **_bayer("grbg", cv2.COLOR_BayerGRBG2RGB),
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
    "nv12": ColorEncoding("u1", 1, code=cv2.COLOR_YUV2RGB_NV12, planes="4:2:0"),
    "nv21": ColorEncoding("u1", 1, code=cv2.COLOR_YUV2RGB_NV21, planes="4:2:0"),
    # Brightness, and behind it blue and red of each pixel.
    "nv24": ColorEncoding("u1", 1, code=cv2.COLOR_YUV2RGB_NV12, planes="4:4:4"),
}
