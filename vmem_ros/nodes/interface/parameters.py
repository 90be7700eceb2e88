"""The parameters of the camera node as one table: declaration, validation and documentation come from it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from vmem_ros.errors import InvalidCameraError, ParameterError
from vmem_ros.generation.engines import DEFAULT_ENGINE
from vmem_ros.generation.vmem.sampling_options import Sampler
from vmem_ros.geometry import Camera
from vmem_ros.memory import AUTO_MEMORY, MEMORIES
from vmem_ros.nodes.interface.frame_names import prefix_of_namespace
from vmem_ros.pointmaps import DEFAULT_ESTIMATOR, GeometryPrior, SensorKind
from vmem_ros.pretrained.devices import DTYPES
from vmem_ros.pretrained.shipped import DEFAULT_MODEL

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """One parameter; its type is that of the default.

    :param limits: smallest and largest allowed number.
    :param choices: allowed strings; empty for free text.
    :param read_only: read once, at start.
    """

    name: str
    default: Value
    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    read_only: bool = False

    @property
    def type_name(self) -> str:
        """The ROS name of the type."""
        return {bool: "bool", int: "integer", float: "double", str: "string"}[type(self.default)]

    @property
    def allowed(self) -> str:
        """What may be set, in words."""
        if self.limits is not None:
            low, high = self.limits
            return f"{low:g} to {high:g}"
        return ", ".join(repr(c) for c in self.choices) if self.choices else f"any {self.type_name}"

    def descriptor(self) -> ParameterDescriptor:
        """Return the descriptor that tools such as rqt show."""
        out = ParameterDescriptor(
            name=self.name, description=self.description, read_only=self.read_only, additional_constraints=""
        )
        if self.choices:
            out.additional_constraints = f"one of {self.allowed}"
        if self.limits is not None:
            low, high = self.limits
            if isinstance(self.default, float):
                out.floating_point_range = [FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)]
            else:
                out.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
        return out

    def read(self, value: Any) -> Any:
        """Return a value as it is meant: a whole number stands for a double, as people write them in YAML."""
        return float(value) if type(self.default) is float and type(value) is int else value

    def complaint(self, value: Any) -> str | None:
        """Return why a value is refused, with what is allowed, or ``None``."""
        if type(value) is not type(self.default):
            quotes = "; YAML takes a bare word or number for text only in quotes" if self.type_name == "string" else ""
            article = "an" if self.type_name == "integer" else "a"
            return f"{self.name} must be {article} {self.type_name}, got {value!r} (default {self.default!r}){quotes}"
        in_range = self.limits is None or self.limits[0] <= float(value) <= self.limits[1]  # false for NaN
        if in_range and (not self.choices or value in self.choices):
            return None
        return f"{self.name} = {value!r} is refused: allowed is {self.allowed} (default {self.default!r})"


_INT_MAX = 2**31 - 1

PARAMETERS = {
    p.name: p
    for p in (
        Parameter(
            "engine",
            DEFAULT_ENGINE,
            "what draws new views: 'vmem' (a multi-view diffusion network), 'spatia' (clips of a video network that go "
            "on from the newest views), 'mirage' (likewise, told in latents what memory has of the world), 'gac' "
            "(pictures and their depth in one sequence), 'inpaint' and 'wan-vace' (pipelines of diffusers fill the "
            "holes of what memory shows, in pictures and in clips: docs/engines.md), 'reprojection' (what memory "
            "shows, holes inpainted), or your own generator as 'module:factory', see docs/extending.md",
            read_only=True,
        ),
        Parameter(
            "engine_options",
            "",
            "options of the engine as a YAML mapping, e.g. '{inpainting: telea}'; model.* and sampling.* are options, "
            "too, of engines that have them",
            read_only=True,
        ),
        Parameter(
            "model.path",
            DEFAULT_MODEL,
            f"model of the engine: '{DEFAULT_MODEL}' is the one of the package, where it has one for the engine; "
            "or a folder (`vmem train` and `vmem convert` make them), or owner/name on the Hugging Face Hub; of "
            "'inpaint' and 'wan-vace' what `vmem fetch` has fetched",
            read_only=True,
        ),
        Parameter(
            "model.allow_download", False, "fetch model.path from the Hub if it is not on this machine", read_only=True
        ),
        Parameter("model.device", "cpu", "where tensors live: 'cpu', 'cuda' or 'cuda:N'", read_only=True),
        Parameter(
            "model.cpu_threads",
            0,
            "threads of tensor operations on the CPU; 0: one less than there are cores, which stays for ROS",
            limits=(0, 1024),
            read_only=True,
        ),
        Parameter(
            "model.dtype",
            "auto",
            "numbers of the network: 'auto' is bfloat16 on a GPU and float32 on a CPU",
            choices=DTYPES,
            read_only=True,
        ),
        Parameter(
            "model.compile",
            False,
            "compile the network (engine 'vmem'): the first views take minutes longer, all others less",
            read_only=True,
        ),
        Parameter(
            "model.max_side",
            0,
            "largest side in pixels at which the network works; larger views are drawn smaller and enlarged; 0: the "
            "model's own",
            limits=(0, 4096),
            read_only=True,
        ),
        Parameter(
            "model.lora",
            "",
            "LoRA weights for engines 'vmem', 'spatia' and 'mirage': a file or folder; empty: none",
            read_only=True,
        ),
        Parameter("model.lora_scale", 1.0, "how strongly model.lora acts", limits=(-10.0, 10.0), read_only=True),
        Parameter(
            "model.exemplars",
            "auto",
            "pictures that lend details to what nobody saw, for engine 'vmem': a file of `vmem collect`, package, or "
            "none; auto: those of the package with a small model",
            read_only=True,
        ),
        Parameter("autostart", True, "configure and activate without a lifecycle manager", read_only=True),
        Parameter("world_frame_id", "map", "fixed frame of the world (z up), without a leading slash", read_only=True),
        Parameter(
            "frame_prefix",
            "",
            "prefix of the camera's frame names, without a leading slash; empty: the namespace of the node, so that "
            "two cameras do not send the same frames",
            read_only=True,
        ),
        Parameter("publish_tf", True, "broadcast the camera's frames on /tf and /tf_static", read_only=True),
        Parameter("tf_timeout_s", 0.5, "how long a pose waits for a transform that is late", limits=(0.0, 60.0)),
        Parameter(
            "follow_frame",
            "",
            "the camera follows this TF frame (a camera link, x forward), e.g. that of a simulated robot; images carry "
            "the stamps of its transforms; empty: off",
        ),
        Parameter(
            "stamp_policy",
            "request",
            "stamp of generated views: 'request' (that of the pose asked for) or 'publish' (when they are published)",
            choices=("request", "publish"),
        ),
        Parameter(
            "pose_height_m",
            0.0,
            "added to the z of the topics pose and path: RViz's goals and Nav2's plans lie on the floor",
            limits=(-100.0, 100.0),
        ),
        Parameter("camera.width", 576, "width of generated views in pixels", limits=(16, 4096)),
        Parameter("camera.height", 576, "height of generated views in pixels", limits=(16, 4096)),
        Parameter(
            "camera.max_pixels",
            2048 * 2048,
            "pixels of a view at most, whoever asks for it or brings it: ~/render, ~/generate, ~/imagine, ~/add_view, "
            "~/set_camera_info, seed/*, camera.width x camera.height. Each takes 0.1 kB while it is drawn or observed: "
            "0.4 GB for a view of the default, beside what the engine takes",
            limits=(256, 4096 * 4096),
        ),
        Parameter("camera.fov_deg", 60.0, "horizontal field of view of generated views", limits=(10.0, 150.0)),
        Parameter(
            "camera.mode",
            "polled",
            "when to generate: 'polled' (on request), 'streaming' (also after every pose; the latest wins) or "
            "'disabled' (previews only)",
            choices=("polled", "streaming", "disabled"),
            read_only=True,
        ),
        Parameter(
            "camera.seed", -1, "seed of generation where a request names none; -1: random", limits=(-1, _INT_MAX)
        ),
        Parameter(
            "prompt",
            "",
            "what views are to show, in words, where a request has none of its own; for engines that read, such as "
            "'spatia' with a model that has a text encoder; others refuse requests with one",
        ),
        Parameter(
            "sampling.sampler",
            "auto",
            "how engine 'vmem' removes noise: 'published' (Euler, as the weights were released), 'fast' "
            "(DPM-Solver++ over log-spaced noise levels) or 'auto' (the model's own)",
            choices=("auto", *get_args(Sampler)),
        ),
        Parameter(
            "sampling.steps",
            0,
            "denoising steps of a chunk; 0: the model's own, and with another sampler than its own 50 for 'published' "
            "and 15 for 'fast'",
            limits=(0, 1000),
        ),
        Parameter(
            "sampling.guidance_scale",
            0.0,
            "strength of guidance; 1: none, at half the cost; 0: the model's own",
            limits=(0.0, 20.0),
        ),
        Parameter(
            "sampling.guidance_min",
            0.0,
            "strength where a view is close to a reference; 0: the model's own",
            limits=(0.0, 20.0),
        ),
        Parameter("sampling.guidance_low", 0.0, "lowest noise level (sigma) with guidance", limits=(0.0, 1000.0)),
        Parameter(
            "sampling.guidance_high",
            0.0,
            "highest noise level (sigma) with guidance; 0: the levels are the model's own; 1000: all",
            limits=(0.0, 1000.0),
        ),
        Parameter(
            "camera.chunk",
            0,
            "views generated together; 0: as many as the engine likes",
            limits=(0, 64),
            read_only=True,
        ),
        Parameter("camera.references", 4, "remembered views given to the generator", limits=(1, 64), read_only=True),
        Parameter(
            "composite",
            "remembered",
            "'remembered': well-supported remembered pixels are blended into generated views; 'none': they are not",
            choices=("none", "remembered"),
            read_only=True,
        ),
        Parameter("reuse_views", True, "a pose equal to a stored view returns that view exactly", read_only=True),
        Parameter(
            "geometry.estimator",
            DEFAULT_ESTIMATOR,
            "depth of new views, and of seeds without depth: 'memory' (what memory shows; no seeds without depth), "
            "'small' (the network of the package), 'huggingface' (a depth model of transformers), 'cut3r' (your own "
            "installation of CUT3R), or your own estimator as 'module:factory', see docs/extending.md",
            read_only=True,
        ),
        Parameter(
            "geometry.options",
            "",
            "options of the estimator as a YAML mapping, e.g. '{max_depth_m: 20.0}'",
            read_only=True,
        ),
        Parameter(
            "geometry.prior",
            "none",
            "what is believed of surfaces that nobody saw (estimator 'memory'): 'none', nothing: they have no depth; "
            "'room', that they are floor, ceiling and walls of the room around them",
            choices=get_args(GeometryPrior),
            read_only=True,
        ),
        Parameter(
            "geometry.model",
            "",
            "model of the estimator: a folder, owner/name on the Hugging Face Hub, or the checkpoint of CUT3R; empty: "
            "the estimator's own",
            read_only=True,
        ),
        Parameter(
            "geometry.max_depth_m",
            0.0,
            "estimated depth beyond this is sky: +Inf, and no surfels; 0: no limit; not for 'memory'",
            limits=(0.0, 10_000.0),
            read_only=True,
        ),
        Parameter("preview.rate_hz", 10.0, "previews a second, while subscribed", limits=(0.1, 60.0)),
        Parameter("preview.scale", 0.5, "size of previews relative to the generated camera", limits=(0.05, 1.0)),
        Parameter("camera.jpeg_quality", 95, "quality of camera/image_raw/compressed", limits=(1, 100)),
        Parameter("preview.jpeg_quality", 80, "quality of compressed previews", limits=(1, 100)),
        Parameter(
            "points.min_confidence",
            0.5,
            "only points with more confidence than this are sent: 0.5, what a camera saw; less, what was imagined "
            "before and is remembered, too; 0: all points",
            limits=(0.0, 1.0),
        ),
        Parameter("points.stride", 2, "every n-th pixel of every n-th row becomes a point", limits=(1, 16)),
        Parameter(
            "memory.kind",
            AUTO_MEMORY,
            f"what remembers: '{AUTO_MEMORY}' is what the engine was made for, or one of "
            + ", ".join(f"'{kind}'" for kind in MEMORIES)
            + ", or your own memory as 'module:factory', see docs/extending.md",
            read_only=True,
        ),
        Parameter(
            "memory.options",
            "",
            "options of the memory as a YAML mapping, e.g. '{selection: coverage}'",
            read_only=True,
        ),
        Parameter("memory.max_views", 0, "stored views at most, 0: no limit", limits=(0, _INT_MAX), read_only=True),
        Parameter("memory.max_surfels", 0, "stored surfels at most, 0: no limit", limits=(0, _INT_MAX), read_only=True),
        Parameter("memory.max_points", 300_000, "surfels in one message at most", limits=(1, 10_000_000)),
        Parameter("memory.publish_rate_hz", 1.0, "memory topics a second at most", limits=(0.01, 30.0)),
        Parameter("generate.max_views", 1000, "poses of one goal of ~/generate at most", limits=(1, 100_000)),
        Parameter(
            "generate.result_timeout_s",
            60.0,
            "how long the result of a goal of ~/generate or ~/imagine is kept for somebody who asks",
            limits=(1.0, 86_400.0),
            read_only=True,
        ),
        Parameter("imagine.max_views", 200, "views of all paths of one goal of ~/imagine at most", limits=(1, 10_000)),
        Parameter(
            "imagine.max_batch",
            10,
            "paths that ~/imagine draws as one batch at most, where the engine can, each counted once for each of its "
            "seeds. More take less time, and more memory; 1: one after the other",
            limits=(1, 256),
        ),
        Parameter(
            "imagine.max_result_pixels",
            2048 * 2048,
            "pixels of all views of a goal of ~/imagine whose pictures are to be in the result; each takes 11 bytes "
            "there",
            limits=(256, 8192 * 8192),
        ),
        Parameter("path.sample_distance_m", 0.25, "a view at least every so far along a path", limits=(0.01, 100.0)),
        Parameter("path.sample_angle_deg", 15.0, "a view at least every so much turning", limits=(1.0, 180.0)),
        Parameter("path.max_views", 256, "views of one path at most", limits=(1, 10_000)),
        Parameter(
            "path.heading",
            "auto",
            "where the camera looks along a path: 'given' (the orientations of its poses), 'tangent' (ahead, level) or "
            "'auto' (ahead where the path has no headings: all its orientations, or all but the last as NavFn leaves "
            "them, are the identity; the last one then stays if it is another)",
            choices=("auto", "given", "tangent"),
        ),
        Parameter(
            "path.continue_s",
            3.0,
            "a path that comes so soon after another one continues it: places along it that those before have shown "
            "are not shown again; 0: every path is shown whole",
            limits=(0.0, 3600.0),
        ),
        Parameter("queue.max_length", 32, "waiting requests at most", limits=(1, 10_000), read_only=True),
        Parameter(
            "queue.burst",
            256,
            "requests to one service that may come at once, beside those that wait, and still get an answer; the "
            "middleware may keep a buffer for each of them, as large as the largest picture that was sent",
            limits=(1, 10_000),
            read_only=True,
        ),
        Parameter("teleop.timeout_s", 0.5, "the camera stops so long after the last cmd_vel", limits=(0.05, 10.0)),
        Parameter(
            "teleop.max_speed_m_s",
            5.0,
            "cmd_vel flies no faster: what is faster is slowed down, in its direction, and logged",
            limits=(0.001, 1000.0),
        ),
        Parameter(
            "teleop.max_turn_deg_s", 180.0, "cmd_vel turns no faster; see teleop.max_speed_m_s", limits=(0.1, 3600.0)
        ),
        Parameter(
            "seed.pose_source",
            "tf",
            "where poses of seed/image come from: 'tf' (its header's frame, an optical frame) or 'topic' (seed/pose)",
            choices=("tf", "topic"),
            read_only=True,
        ),
        Parameter(
            "seed.transport",
            "raw",
            "'raw': seed/image and seed/depth; 'compressed': in their place seed/image/compressed and "
            "seed/depth/compressedDepth, a tenth of the bytes",
            choices=("raw", "compressed"),
            read_only=True,
        ),
        Parameter(
            "seed.depth",
            True,
            "seeds come with seed/depth; false: images alone, whose depth geometry.estimator finds ('memory' cannot)",
            read_only=True,
        ),
        Parameter(
            "seed.mask",
            False,
            "seeds come with seed/mask, of what moves and is not to be remembered; an image without one is not taken",
            read_only=True,
        ),
        Parameter(
            "seed.sensor",
            "auto",
            "what measures seed/depth, hence its noise; 'exact': it stays as it is; 'auto': exact if no pixel is "
            "unknown (NaN), else cleaned as if by structured_light",
            choices=get_args(SensorKind),
            read_only=True,
        ),
        Parameter(
            "seed.close_gaps_px",
            3,
            "gaps of seed/depth up to so many pixels wide are closed along surfaces; 0: none",
            limits=(0, 16),
            read_only=True,
        ),
        Parameter(
            "seed.remove_flying", True, "readings between two surfaces are taken out of seed/depth", read_only=True
        ),
        Parameter("seed.rectified", False, "seed/image is rectified, although its camera_info lists distortion"),
        Parameter(
            "seed.refine_pose",
            "off",
            "poses of seeds and ~/add_view: 'off' (quoted: YAML takes a bare one for false), as given; 'icp', aligned "
            "to what memory shows, by a few centimetres and degrees at most, where that fits better",
            choices=("off", "icp"),
        ),
        Parameter("seed.slop_s", 0.05, "stamps of one seed may differ so much", limits=(0.0, 10.0)),
        Parameter("seed.min_translation_m", 0.2, "a seed is taken when moved so far ...", limits=(0.0, 100.0)),
        Parameter("seed.min_rotation_deg", 10.0, "... or turned so much since the last one", limits=(0.0, 180.0)),
        Parameter("world.root", "~/.ros/vmem_worlds", "worlds are saved and loaded below this folder", read_only=True),
        Parameter("world.path", "world", "world to save or load when a request names none; relative to world.root"),
        Parameter("world.autoload", False, "load world.path when the node is configured", read_only=True),
        Parameter(
            "viewer.port",
            0,
            "port of the world in the browser (docs/viewer.md), at the rates of preview.rate_hz and "
            "memory.publish_rate_hz; 0: off",
            limits=(0, 65535),
            read_only=True,
        ),
        Parameter(
            "viewer.host",
            "localhost",
            "where viewer.port listens: 'localhost', for this machine only, or an address; whoever reaches it may "
            "move the camera, draw, undo and save",
            read_only=True,
        ),
        Parameter("diagnostics.period_s", 1.0, "seconds between two diagnostics", limits=(0.1, 60.0), read_only=True),
    )
}


def check(values: Mapping[str, Any]) -> str | None:
    """Return why a full set of values is refused, or ``None``. Pure: may be called any number of times."""
    for name, value in values.items():
        if (complaint := PARAMETERS[name].complaint(value)) is not None:
            return complaint
    try:
        Camera.from_fov(values["camera.width"], values["camera.height"], values["camera.fov_deg"])
    except InvalidCameraError as error:
        return f"camera.width, camera.height and camera.fov_deg do not make a camera: {error}"
    pixels, most = values["camera.width"] * values["camera.height"], values["camera.max_pixels"]
    if pixels > most:
        return f"camera.width x camera.height = {pixels:,} pixels must not exceed camera.max_pixels = {most:,}"
    low, high = values["sampling.guidance_low"], values["sampling.guidance_high"]
    if low > high:
        return f"sampling.guidance_low = {low:g} must not exceed sampling.guidance_high = {high:g}"
    if not values["world_frame_id"]:
        return "world_frame_id must not be empty (default 'map')"
    if not values["world.root"].strip():
        return f"world.root = {values['world.root']!r} names no folder (default {PARAMETERS['world.root'].default!r})"
    for name in ("world_frame_id", "frame_prefix", "follow_frame"):
        if (frame := values[name]).startswith("/"):
            return f"{name} = {frame!r} is refused: frames of tf2 have no leading slash, write {frame.lstrip('/')!r}"
    prefix, followed = values["frame_prefix"], values["follow_frame"]
    if followed == f"{prefix}_link":
        return f"follow_frame = {followed!r} is the camera itself: name a frame of the robot, or change frame_prefix"
    return None


class Parameters:
    """Typed access to the declared parameters of a node; rejects bad values with value, limit and remedy.

    :raises ParameterError: what the node was started with is refused; the message names all of it.
    """

    def __init__(self, node: Node) -> None:
        given = _given(node)
        self._node = node
        self._values: dict[str, Any] = {
            name: p.read(given[name].value) if name in given else p.default for name, p in PARAMETERS.items()
        }
        self._values["frame_prefix"] = self._values["frame_prefix"] or prefix_of_namespace(node.get_namespace())
        self._listeners: list[Callable[[set[str]], None]] = []
        # Before they are declared: rclpy's own complaints know neither what is allowed nor a remedy.
        wrong = (PARAMETERS[name].complaint(value) for name, value in self._values.items())
        complaints = [complaint for complaint in wrong if complaint is not None]
        if complaints or (complaint := check(self._values)) is not None:
            raise ParameterError("; ".join(complaints) or str(complaint))
        for name, p in PARAMETERS.items():
            node.declare_parameter(name, self._values[name], p.descriptor(), ignore_override=True)
        node.add_pre_set_parameters_callback(_as_meant)
        node.add_on_set_parameters_callback(self._validate)
        node.add_post_set_parameters_callback(self._apply)

    def unknown(self) -> list[str]:
        """Return what the node was started with and does not have, in words, with the nearest name that it has.

        Ask once every topic is made: the policies of topics are parameters, too (``qos_overrides``).
        """
        known = [*PARAMETERS, "use_sim_time"]
        out = []
        for name in _given(self._node):
            if not self._node.has_parameter(name):
                near = difflib.get_close_matches(name, known, n=1)
                out.append(f"{name!r}" + (f" (do you mean {near[0]!r}?)" if near else ""))
        return out

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    @property
    def values(self) -> Mapping[str, Any]:
        """All values by name."""
        return self._values

    def on_change(self, listener: Callable[[set[str]], None]) -> None:
        """Call ``listener(names)`` after accepted changes."""
        self._listeners.append(listener)

    def _validate(self, parameters: list[RosParameter]) -> SetParametersResult:
        changed = {p.name: p.value for p in parameters if p.name in PARAMETERS}
        complaint = check({**self._values, **changed})
        return SetParametersResult(successful=complaint is None, reason=complaint or "")

    def _apply(self, parameters: list[RosParameter]) -> None:
        changed = {p.name: p.value for p in parameters if p.name in PARAMETERS}
        self._values.update(changed)
        if changed:
            for listener in self._listeners:
                listener(set(changed))


def _given(node: Node) -> Mapping[str, RosParameter]:
    """Return the parameters of the command line and of parameter files that are for a node."""
    return node._parameter_overrides  # rclpy has no public way


def _as_meant(parameters: list[RosParameter]) -> list[RosParameter]:
    """Return parameters that somebody sets, whole numbers as doubles where a double is meant."""
    return [
        RosParameter(p.name, value=PARAMETERS[p.name].read(p.value))
        if p.type_ == RosParameter.Type.INTEGER and p.name in PARAMETERS
        else p
        for p in parameters
    ]
