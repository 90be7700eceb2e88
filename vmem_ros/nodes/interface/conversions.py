"""Between ROS messages and arrays: the only place where either side's conventions meet.

ROS says: pixel centres at integers, bodies with x forward (REP-103), depth 0 or NaN where unknown (REP-118). The
package says: pixel centres at +0.5, optical axes, NaN where unknown. Readers copy, so that nothing aliases a message;
they raise :class:`InvalidImageError` or :class:`InvalidCameraError` with what was given and what is allowed.
"""

from __future__ import annotations

from array import array

import cv2
import numpy as np
import torch
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header
from torch import Tensor

from vmem_ros.errors import InvalidCameraError, InvalidImageError
from vmem_ros.geometry import Camera, invert, pose_from, quaternion_xyzw

#: Pose of the optical frame (x right, y down, z forward) in the link frame (x forward, y left, z up), REP-103.
T_LINK_OPTICAL = torch.tensor([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=torch.float64)

#: Colour encodings that are read, with the order in which their channels make RGB.
COLOR_CHANNELS: dict[str, tuple[int, tuple[int, int, int]]] = {
    "rgb8": (3, (0, 1, 2)),
    "bgr8": (3, (2, 1, 0)),
    "rgba8": (4, (0, 1, 2)),
    "bgra8": (4, (2, 1, 0)),
    "mono8": (1, (0, 0, 0)),
}
#: Depth encodings of REP-118 that are read: NumPy type and metres per unit.
DEPTH_ENCODINGS: dict[str, tuple[str, float]] = {"32FC1": ("f4", 1.0), "16UC1": ("u2", 1e-3)}

# A median depth outside this range means that the unit of the encoding was not kept.
_PLAUSIBLE_MEDIAN_DEPTH_M = (0.02, 500.0)


# -- time ------------------------------------------------------------------------------------------------------------
def stamp_to_ns(stamp: Time) -> int:
    """Return a stamp in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def ns_to_stamp(stamp_ns: int) -> Time:
    """Return nanoseconds as a stamp."""
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def header(frame_id: str, stamp_ns: int) -> Header:
    """Return a header."""
    return Header(frame_id=frame_id, stamp=ns_to_stamp(stamp_ns))


# -- bytes -----------------------------------------------------------------------------------------------------------
def byte_array(values: Tensor | NDArray) -> array:
    """Return the bytes of an array in the one form that message setters take as it is.

    Anything else (bytes, lists, NumPy) is copied element by element by some ROS distribution, up to a thousand times
    slower.
    """
    values = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    out = array("B")
    if values.size:
        out.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return out


# -- images ----------------------------------------------------------------------------------------------------------
def image_to_message(image: Tensor | NDArray, head: Header) -> Image:
    """Return uint8 [H, W, 3] RGB as ``rgb8``."""
    height, width = image.shape[:2]
    return Image(
        header=head, height=height, width=width, encoding="rgb8", step=3 * width, is_bigendian=0, data=byte_array(image)
    )


def map_to_message(values: Tensor | NDArray, head: Header) -> Image:
    """Return a float32 [H, W] map (depth in metres, confidence) as ``32FC1``."""
    height, width = values.shape
    return Image(
        header=head,
        height=height,
        width=width,
        encoding="32FC1",
        step=4 * width,
        is_bigendian=0,
        data=byte_array(values),
    )


def jpeg_to_message(image: Tensor | NDArray, head: Header, *, quality: int) -> CompressedImage:
    """Return uint8 [H, W, 3] RGB as JPEG, ``quality`` 1 to 100, with the format string image_transport expects."""
    rgb = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(header=head, format="rgb8; jpeg compressed bgr8", data=byte_array(data))


def image_from_message(message: Image) -> NDArray[np.uint8]:
    """Return [H, W, 3] RGB of a message in one of :data:`COLOR_CHANNELS`."""
    if message.encoding not in COLOR_CHANNELS:
        raise InvalidImageError(
            f"colour images must be {', '.join(COLOR_CHANNELS)}, got '{message.encoding}': convert it, e.g. with "
            "image_proc or cv_bridge"
        )
    channels, order = COLOR_CHANNELS[message.encoding]
    pixels = _pixels(message, np.dtype("u1"), channels)
    return np.ascontiguousarray(pixels[..., order])


def depth_from_message(message: Image) -> NDArray[np.float32]:
    """Return [H, W] metres of a ``32FC1`` or ``16UC1`` message: NaN unknown, +Inf nothing in range (REP-117)."""
    if message.encoding not in DEPTH_ENCODINGS:
        raise InvalidImageError(
            f"depth images must be {' (metres) or '.join(DEPTH_ENCODINGS)} (millimetres), got '{message.encoding}'"
        )
    name, metres = DEPTH_ENCODINGS[message.encoding]
    order = ">" if message.is_bigendian else "<"
    raw = _pixels(message, np.dtype(order + name), 1)[..., 0]
    depth = raw.astype(np.float32) * np.float32(metres)
    depth[~(depth > 0)] = np.nan
    known = depth[np.isfinite(depth)]
    low, high = _PLAUSIBLE_MEDIAN_DEPTH_M
    if known.size and not low <= (median := float(np.median(known))) <= high:
        raise InvalidImageError(
            f"the median depth is {median:g} m, outside {low:g} to {high:g} m: {message.encoding} holds "
            f"{'metres' if name == 'f4' else 'millimetres'} (REP-118), so the unit is probably wrong"
        )
    return depth


def map_from_message(message: Image) -> NDArray[np.float32]:
    """Return [H, W] float32 of a ``32FC1`` message as it is (confidence)."""
    if message.encoding != "32FC1":
        raise InvalidImageError(f"maps must be 32FC1, got '{message.encoding}'")
    return _pixels(message, np.dtype(">f4" if message.is_bigendian else "<f4"), 1)[..., 0].astype(np.float32)


def _pixels(message: Image, dtype: np.dtype, channels: int) -> NDArray:
    """Return [H, W, channels] of an image message, honouring its step; the result may alias the message."""
    height, width, step = message.height, message.width, message.step
    row = width * channels * dtype.itemsize
    if height < 1 or width < 1:
        raise InvalidImageError(f"the image is empty: {width} x {height}")
    if step < row:
        raise InvalidImageError(f"step is {step} bytes, but {width} pixels of {message.encoding} need {row}")
    if len(message.data) != step * height:
        raise InvalidImageError(
            f"data has {len(message.data)} bytes, but {height} rows of {step} make {step * height}: truncated?"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(height, step)[:, :row]
    return np.ascontiguousarray(rows).view(dtype).reshape(height, width, channels)


# -- cameras ---------------------------------------------------------------------------------------------------------
def camera_to_message(camera: Camera, head: Header) -> CameraInfo:
    """Return intrinsics without distortion; ``P`` is filled because RViz reads it instead of ``K``."""
    K = camera.K.numpy().copy()
    K[:2, 2] -= 0.5
    P = np.zeros((3, 4))
    P[:, :3] = K
    return CameraInfo(
        header=head,
        width=camera.width,
        height=camera.height,
        distortion_model="plumb_bob",
        d=[0.0] * 5,
        k=K.reshape(9),
        r=np.eye(3).reshape(9),
        p=P.reshape(12),
    )


def camera_from_message(message: CameraInfo, *, rectified: bool = False) -> Camera:
    """Return the pinhole camera of a message.

    :param rectified: the image it comes with is rectified, so distortion no longer matters.
    :raises InvalidCameraError: not calibrated, distorted, rotated, binned, cropped, or absurd intrinsics.
    """
    if message.binning_x > 1 or message.binning_y > 1:
        raise InvalidCameraError(
            f"binning {message.binning_x} x {message.binning_y} is not supported: send intrinsics of the binned image"
        )
    roi = message.roi
    if (roi.width or roi.height) and (roi.width, roi.height) != (message.width, message.height):
        raise InvalidCameraError(
            f"a region of interest ({roi.width} x {roi.height} of {message.width} x {message.height}) is not "
            "supported: send intrinsics of the cropped image"
        )
    if rectified:
        K = intrinsics_of_rectified(message)
    else:
        if any(message.d):
            raise InvalidCameraError(
                f"distortion {list(message.d)} ({message.distortion_model}) is not supported here: rectify the image"
            )
        R = np.asarray(message.r, np.float64)
        if R.any() and not np.allclose(R, np.eye(3).reshape(9)):
            raise InvalidCameraError(f"the rectification rotation must be the identity, got {R.tolist()}")
        K = np.asarray(message.k, np.float64).reshape(3, 3).copy()
    K[:2, 2] += 0.5
    return Camera(torch.from_numpy(K), message.width, message.height)


def intrinsics_of_rectified(message: CameraInfo) -> NDArray[np.float64]:
    """Return [3, 3] of the image after rectification: those of ``P``, or of ``K`` where nobody filled ``P``.

    As in the message, the centre of the first pixel has coordinates 0, 0.
    """
    P = np.asarray(message.p, np.float64).reshape(3, 4)
    return P[:, :3].copy() if P.any() else np.asarray(message.k, np.float64).reshape(3, 3).copy()


# -- poses -----------------------------------------------------------------------------------------------------------
def pose_from_message(pose: Pose) -> Tensor:
    """Return [4, 4] float64 of a pose, or raise :class:`InvalidPoseError`."""
    p, q = pose.position, pose.orientation
    return pose_from([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])


def pose_to_message(T: Tensor) -> Pose:
    """Return [4, 4] as a pose."""
    x, y, z = T[:3, 3].tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=_quaternion(T))


def transform_from_message(transform: Transform) -> Tensor:
    """Return [4, 4] float64 of a transform, or raise :class:`InvalidPoseError`."""
    p, q = transform.translation, transform.rotation
    return pose_from([p.x, p.y, p.z], [q.x, q.y, q.z, q.w])


def transform_to_message(T_parent_child: Tensor, head: Header, child: str) -> TransformStamped:
    """Return [4, 4] as the transform from ``head.frame_id`` to ``child``."""
    x, y, z = T_parent_child[:3, 3].tolist()
    transform = Transform(translation=Vector3(x=x, y=y, z=z), rotation=_quaternion(T_parent_child))
    return TransformStamped(header=head, child_frame_id=child, transform=transform)


def link_from_camera(T_world_camera: Tensor) -> Tensor:
    """Return the pose of the camera link (x forward) from that of the optical frame."""
    return T_world_camera @ invert(T_LINK_OPTICAL)


def camera_from_link(T_world_link: Tensor) -> Tensor:
    """Return the pose of the optical frame from that of the camera link (x forward)."""
    return T_world_link @ T_LINK_OPTICAL


def _quaternion(T: Tensor) -> Quaternion:
    x, y, z, w = quaternion_xyzw(T).tolist()
    return Quaternion(x=x, y=y, z=z, w=w)


# -- clouds ----------------------------------------------------------------------------------------------------------
def surfels_to_message(position: Tensor, color: Tensor, normal: Tensor, radius: Tensor, head: Header) -> PointCloud2:
    """Return surfels as 32-byte records x y z rgb normal_x normal_y normal_z radius.

    :param position: [N, 3] metres in the frame of the header.
    :param color: [N, 3] uint8; ``normal`` [N, 3]; ``radius`` [N] metres.
    """
    columns = [position, _packed_rgb(color), normal, radius[:, None]]
    names = ["x", "y", "z", "rgb", "normal_x", "normal_y", "normal_z", "radius"]
    return _cloud(torch.cat([c.detach().cpu().to(torch.float32) for c in columns], dim=1), names, head)


def points_to_message(points: Tensor, color: Tensor, confidence: Tensor, head: Header) -> PointCloud2:
    """Return points [N, 3] with color [N, 3] uint8 and confidence [N] as x y z rgb intensity."""
    columns = [points, _packed_rgb(color), confidence[:, None]]
    names = ["x", "y", "z", "rgb", "intensity"]
    return _cloud(torch.cat([c.detach().cpu().to(torch.float32) for c in columns], dim=1), names, head)


def _packed_rgb(color: Tensor) -> Tensor:
    """Return [N, 1] float32 whose four bytes are b, g, r, 0: what PCL and RViz read as ``rgb``."""
    packed = torch.zeros(len(color), 4, dtype=torch.uint8)
    packed[:, :3] = color.detach().cpu().flip(-1)
    return packed.view(torch.float32)


def _cloud(records: Tensor, names: list[str], head: Header) -> PointCloud2:
    fields = [PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, n in enumerate(names)]
    step = 4 * len(names)
    return PointCloud2(
        header=head,
        height=1,
        width=len(records),
        fields=fields,
        is_bigendian=False,
        point_step=step,
        row_step=step * len(records),
        data=byte_array(records),
        is_dense=True,
    )


def cloud_from_message(message: PointCloud2) -> dict[str, NDArray]:
    """Return the fields of a cloud of 32-bit fields by name, [N] each; ``rgb`` as uint8 [N, 3].

    :raises InvalidImageError: truncated data or other field types.
    """
    if message.is_bigendian or any(f.datatype != PointField.FLOAT32 or f.count != 1 for f in message.fields):
        raise InvalidImageError("only little-endian clouds of FLOAT32 fields are read")
    count = message.width * message.height
    if len(message.data) != count * message.point_step:
        raise InvalidImageError(f"data has {len(message.data)} bytes, {count} points need {count * message.point_step}")
    dtype = np.dtype(
        {
            "names": [f.name for f in message.fields],
            "formats": ["<f4"] * len(message.fields),
            "offsets": [f.offset for f in message.fields],
            "itemsize": message.point_step,
        }
    )
    records = np.frombuffer(message.data, dtype)
    out: dict[str, NDArray] = {name: records[name].copy() for name in records.dtype.names or ()}
    if "rgb" in out:
        out["rgb"] = out["rgb"].view(np.uint8).reshape(-1, 4)[:, 2::-1].copy()
    return out
