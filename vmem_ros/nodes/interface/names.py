"""The ROS interface as tables: every topic, service and action of the camera node, in one place.

The node creates its publishers, subscriptions, services and action server from these rows; ``docs/ros_interface.md`` is
written from them and the display configurations are tested against them. Names are stable interface: changing one is a
breaking change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseArray, PoseStamped, Twist, TwistStamped
from nav_msgs.msg import Path
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSPolicyKind, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from sensor_msgs.srv import SetCameraInfo
from std_srvs.srv import SetBool, Trigger

from vmem_ros.nodes.interface.subscription import Subscribed
from vmem_ros.nodes.interface.subscription import message_type_name as message_type_name

try:
    from vmem_ros.action import GenerateViews, ImaginePaths
    from vmem_ros.msg import ImaginedView, Retrieval, Status
    from vmem_ros.srv import AddView, EditWorld, LoadWorld, RenderView, SaveWorld
except ImportError as error:
    raise ImportError(
        "the ROS messages of vmem_ros are not built or not sourced: run `make setup`, then `source tools/env.sh`; in a "
        "workspace, `colcon build --packages-select vmem_ros`, then source its setup file"
    ) from error

#: When the camera generates: on request only, after every pose, or never.
CameraMode = Literal["polled", "streaming", "disabled"]
#: Named qualities of service, see :func:`qos_profile`.
Qos = Literal["frames", "stream", "latched", "events", "command", "sensor"]
#: Whose coordinates a message is in, see :class:`vmem_ros.nodes.camera.tf.FrameNames`.
FrameRole = Literal["world", "generated", "preview", "imagined", ""]

NODE_NAME = "vmem_camera"
NAMESPACE = "vmem"


@dataclass(frozen=True)
class Topic:
    """One topic; ``type`` is the message class, ``alternative`` another one that is heard where it is published."""

    name: str
    type: Any
    qos: Qos
    description: str
    frame: FrameRole = ""
    alternative: Any = None


@dataclass(frozen=True)
class Service:
    """One service or action of the node, private to it (``~/name``)."""

    name: str
    type: Any
    description: str

    @property
    def path(self) -> str:
        """The name relative to the node."""
        return f"~/{self.name}"


PUBLISHED = {
    topic.name: topic
    for topic in (
        Topic(
            "camera/image_raw",
            Image,
            "frames",
            "rgb8, one per generated view, in order; its stamp is the stamp of the pose asked for",
            "generated",
        ),
        Topic(
            "camera/image_raw/compressed",
            CompressedImage,
            "frames",
            "the same as JPEG of camera.jpeg_quality, as image_transport sends it; only while subscribed, and the "
            "newest for those who come late",
            "generated",
        ),
        Topic("camera/camera_info", CameraInfo, "frames", "intrinsics of that image", "generated"),
        Topic(
            "camera/depth/image_rect",
            Image,
            "frames",
            "32FC1 metres along the optical axis; NaN unknown, +Inf looked and saw nothing",
            "generated",
        ),
        Topic(
            "camera/depth/image_rect/compressedDepth",
            CompressedImage,
            "frames",
            "the same as image_transport's compressedDepth: inverse depth of 16 bits in a PNG, off by up to the square "
            "of the depth / 20200; NaN also where nothing was seen. Sent like the JPEG",
            "generated",
        ),
        Topic("camera/depth/camera_info", CameraInfo, "frames", "the same intrinsics, beside the depth", "generated"),
        Topic(
            "camera/confidence",
            Image,
            "frames",
            "32FC1 per pixel: 0 invented in this view, 0.25 in a small hole that was closed, 0.5 imagined earlier and "
            "remembered, 1 seen by a real camera",
            "generated",
        ),
        Topic(
            "camera/points",
            PointCloud2,
            "stream",
            "x y z rgb intensity (= confidence), above points.min_confidence; only while subscribed",
            "generated",
        ),
        Topic(
            "imagined/view",
            ImaginedView,
            "events",
            "one per view that ~/imagine draws: picture, depth and confidence, with the numbers of its path and view, "
            "its pose and what is known there; only while subscribed. The frame of its pictures is not on /tf",
            "world",
        ),
        Topic(
            "imagined/image_raw",
            Image,
            "events",
            "its picture alone, rgb8, for those who look; only while subscribed",
            "imagined",
        ),
        Topic(
            "preview/image_raw",
            Image,
            "stream",
            "rgb8, what memory alone shows at the present pose, holes black; at preview.rate_hz, only while "
            "anything of the preview is subscribed",
            "preview",
        ),
        Topic(
            "preview/image_raw/compressed",
            CompressedImage,
            "stream",
            "the same as JPEG; only while subscribed",
            "preview",
        ),
        Topic("preview/camera_info", CameraInfo, "stream", "intrinsics of the preview", "preview"),
        Topic("preview/depth/image_rect", Image, "stream", "32FC1 metres, NaN where nothing is remembered", "preview"),
        Topic("preview/depth/camera_info", CameraInfo, "stream", "the same intrinsics, beside the depth", "preview"),
        Topic(
            "memory/surfels",
            PointCloud2,
            "latched",
            "x y z rgb, and normal_x normal_y normal_z radius where the elements of the memory have them (surfels: 32 "
            "bytes each); on change, at most memory.publish_rate_hz, thinned to memory.max_points",
            "world",
        ),
        Topic("memory/views", PoseArray, "latched", "stored cameras (link axes, x forward), oldest first", "world"),
        Topic("memory/path", Path, "latched", "the same with the stamp of each view", "world"),
        Topic(
            "memory/retrieval",
            Retrieval,
            "events",
            "which views each generated view was drawn from, with weights; stamped like the view",
            "generated",
        ),
        Topic(
            "~/status",
            Status,
            "latched",
            "state, engine, queue, progress, memory, last error; on change, and once a second while busy",
        ),
        Topic("/diagnostics", DiagnosticArray, "events", "every diagnostics.period_s"),
    )
}

SUBSCRIBED = {
    topic.name: topic
    for topic in (
        Topic(
            "pose",
            PoseStamped,
            "command",
            "move the camera: pose of the camera link in any frame TF knows; the latest wins. Remap RViz's "
            "/goal_pose to it and a click drives the world",
        ),
        Topic("path", Path, "command", "generate along a plan (camera link poses); remap Nav2's /plan"),
        Topic(
            "cmd_vel",
            TwistStamped,
            "command",
            "fly the camera, velocities in its link frame, at most teleop.max_speed_m_s; stops after "
            "teleop.timeout_s, and when a pose comes. Whichever of the two types is published is heard",
            alternative=Twist,
        ),
        Topic(
            "seed/image",
            Image,
            "sensor",
            "a live camera that feeds the memory: 8 or 16 bits of colour or grey, mosaics (bayer_*), yuv422, "
            "nv12, nv21, nv24",
        ),
        Topic(
            "seed/camera_info",
            CameraInfo,
            "sensor",
            "its intrinsics; images of lenses (plumb_bob and rational_polynomial of 4 to 14 coefficients, equidistant) "
            "are rectified",
        ),
        Topic(
            "seed/depth",
            Image,
            "sensor",
            "its registered depth: 32FC1 metres or 16UC1 millimetres; not with seed.depth: false",
        ),
        Topic(
            "seed/mask",
            Image,
            "sensor",
            "with seed.mask: true, one for each image: mono8, 8UC1, mono16, 16UC1 or 32SC1, not 0 over what moves and "
            "is not to be remembered",
        ),
        Topic(
            "seed/pose",
            PoseStamped,
            "sensor",
            "pose of its link at each image, when seed.pose_source is topic instead of TF",
        ),
    )
}

#: What carries a row of :data:`SUBSCRIBED` in less space, as the plug-ins of image_transport name it.
COMPRESSED = {
    "seed/image": Topic(
        "seed/image/compressed",
        CompressedImage,
        "sensor",
        "seed/image as JPEG or PNG, heard in its place with seed.transport: compressed; a remap of seed/image holds "
        "for it, too",
    ),
    "seed/depth": Topic(
        "seed/depth/compressedDepth",
        CompressedImage,
        "sensor",
        "likewise seed/depth, as PNG or RVL of the plug-in compressed_depth_image_transport",
    ),
}

SERVICES = {
    service.name: service
    for service in (
        Service("render", RenderView, "what memory alone shows at one pose, in the response; changes nothing"),
        Service("capture", Trigger, "generate at the present pose; the message is the stamp of the view"),
        Service(
            "undo",
            Trigger,
            "take back the last commit: all views of one request, one observed view, or an edit. A request that is "
            "being drawn and loses views to it, or to reset or load_world, ends with CANCELLED and the views that are "
            "left",
        ),
        Service("reset", Trigger, "forget everything; parameters and pose stay"),
        Service("pause", SetBool, "true: hold generation between two steps; previews go on. false: continue"),
        Service("save_world", SaveWorld, "save, atomically, below world.root"),
        Service("load_world", LoadWorld, "replace the world by a saved one, or on any error keep it"),
        Service(
            "add_view",
            AddView,
            "put one image with camera, pose and, if there are any, depth and a mask of what moves into the memory; a "
            "lens's are rectified",
        ),
        Service(
            "edit_world",
            EditWorld,
            "remove what is remembered in a box, in a sphere or under a mask, and add a coloured cloud: one commit, "
            "which undo takes back. What is removed is shown from no pose any more and may be drawn anew",
        ),
        Service("set_camera_info", SetCameraInfo, "intrinsics of the generated camera, until camera.* is set again"),
    )
}

ACTIONS = {
    action.name: action
    for action in (
        Service(
            "generate",
            GenerateViews,
            "generate a view at each pose; feedback per step; a cancel takes effect between steps and drops what is "
            "not committed. Images go out on the camera topics, never in the result",
        ),
        Service(
            "imagine",
            ImaginePaths,
            "what would be seen along each of several candidate paths, from the world as it is, which stays so: per "
            "path and view the share remembered, the mean confidence, the nearest depth, and how much two draws "
            "disagree. Paths are drawn as one batch where the engine can; feedback and cancel as of generate. Views go "
            "out on imagined/*, and in the result where asked",
        ),
    )
}


def qos_profile(qos: Qos, *, mode: CameraMode = "polled") -> QoSProfile:
    """Return the profile behind a name. All are reliable: best-effort publishers are invisible to RViz's defaults.

    ``frames`` keep the newest generated view for late subscribers, in streaming mode the newest ten.
    """
    depth = {"latched": 1, "frames": 10 if mode == "streaming" else 1, "stream": 1, "command": 1}.get(qos, 10)
    durability = DurabilityPolicy.TRANSIENT_LOCAL if qos in ("latched", "frames") else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability)


def service_qos(queue_length: int, burst: int) -> QoSProfile:
    """Return the profile of services and of those behind the action: deeper than the queue that requests wait in.

    With rclpy's own depth of 10, requests that come at once replace each other before anybody has seen them, and
    nobody hears that the queue is full.

    :param queue_length: ``queue.max_length``.
    :param burst: ``queue.burst``.
    """
    return QoSProfile(depth=queue_length + burst)


def create_publisher(node: LifecycleNode, name: str, *, mode: CameraMode) -> Publisher:
    """Return the publisher of a row. All but status and diagnostics are silent while the node is not active.

    Its QoS can be changed with the parameters ``qos_overrides.<topic>.publisher.<policy>``.
    """
    topic = PUBLISHED[name]
    always = name in ("~/status", "/diagnostics")
    create = node.create_publisher if always else node.create_lifecycle_publisher
    return create(
        topic.type,
        topic.name,
        qos_profile(topic.qos, mode=mode),
        qos_overriding_options=_qos_overrides(),
    )


def create_subscription(
    node: LifecycleNode,
    name: str,
    callback: Callable[[Any], Any],
    *,
    group: CallbackGroup | None = None,
    raw: bool = False,
    compressed: bool = False,
) -> Subscribed:
    """Subscribe to a row.

    Its QoS can be changed with the parameters ``qos_overrides.<topic>.subscription.<policy>``.

    :param raw: the callback gets the bytes of messages.
    :param compressed: hear what carries it in less space, where there is any (:data:`COMPRESSED`).
    """
    topic, place = SUBSCRIBED[name], name
    if compressed and name in COMPRESSED:
        topic = COMPRESSED[name]
        # As image_transport does: beside the topic that the other one is remapped to.
        place = node.resolve_topic_name(name) + topic.name.removeprefix(name)
    return Subscribed(
        node,
        topic.type,
        place,
        callback,
        qos_profile(topic.qos),
        overrides=_qos_overrides(),
        callback_group=group,
        raw=raw,
    )


def _qos_overrides() -> QoSOverridingOptions:
    kinds = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY, QoSPolicyKind.DURABILITY)
    return QoSOverridingOptions(kinds)
