"""Parts of the node that need no running node: transforms, synchronisation, paths, results, commits, documentation."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from builtin_interfaces.msg import Time
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vmem_ros.msg import ErrorCode as ErrorCodeMessage

from rooms import box_view
from tiny_models import tiny_pipeline
from vmem_ros.errors import ErrorCode, FrameError, InvalidPoseError, MemoryFullError, ModelError, WorldFileError
from vmem_ros.geometry import Camera, geodesic_distance, invert, look_at, pose_from
from vmem_ros.nodes import docs, results
from vmem_ros.nodes.commands import sample_path
from vmem_ros.nodes.commits import CommitLog
from vmem_ros.nodes.engines import build_world
from vmem_ros.nodes.parameters import PARAMETERS
from vmem_ros.nodes.synchroniser import Synchroniser
from vmem_ros.nodes.teleop import motion
from vmem_ros.nodes.transforms import TransformTree
from vmem_ros.nodes.world_paths import world_path
from vmem_ros.types import Target

SECOND = 1_000_000_000


def pose(x: float, y: float = 0.0, z: float = 0.0, *, yaw_deg: float = 0.0) -> torch.Tensor:
    return pose_from([x, y, z], Rotation.from_euler("z", yaw_deg, degrees=True).as_quat())


class TestTransformTree:
    @pytest.fixture
    def tree(self) -> TransformTree:
        tree = TransformTree()
        tree.add("map", "odom", pose(10), SECOND)
        tree.add("map", "odom", pose(20, yaw_deg=90), 2 * SECOND)
        tree.add("odom", "base", pose(1), SECOND)
        tree.add("odom", "base", pose(3), 3 * SECOND)
        tree.add("base", "camera", pose(0, z=0.5), 0, static=True)
        return tree

    def test_chain_is_interpolated(self, tree: TransformTree) -> None:
        expected = pose(15, yaw_deg=45) @ pose(1.5) @ pose(0, z=0.5)
        torch.testing.assert_close(tree.lookup("map", "camera", int(1.5 * SECOND)), expected)

    def test_inverse_and_siblings(self, tree: TransformTree) -> None:
        tree.add("base", "lidar", pose(0, z=1), 0, static=True)
        stamp = SECOND
        torch.testing.assert_close(
            tree.lookup("camera", "map", stamp), invert(tree.lookup("map", "camera", stamp)), rtol=0, atol=1e-12
        )
        torch.testing.assert_close(tree.lookup("camera", "lidar", 0), pose(0, z=0.5))
        torch.testing.assert_close(tree.lookup("base", "base", 0), pose(0))

    def test_time_zero_is_the_newest_all_share(self, tree: TransformTree) -> None:
        torch.testing.assert_close(tree.lookup("map", "base", 0), pose(20, yaw_deg=90) @ pose(2))

    @pytest.mark.parametrize(
        ("target", "source", "stamp", "text"),
        [
            ("map", "gripper", 0, "frame 'gripper' is unknown; known are base, camera, map, odom"),
            ("map", "base", 3 * SECOND, "map -> odom is asked for 1.000 s after the newest one"),
            ("map", "base", SECOND // 2, "0.500 s before the oldest one"),
            ("moon", "base", 0, "frame 'moon' is unknown"),
        ],
    )
    def test_refused(self, tree: TransformTree, target: str, source: str, stamp: int, text: str) -> None:
        with pytest.raises(FrameError, match=text):
            tree.lookup(target, source, stamp)

    def test_not_connected(self, tree: TransformTree) -> None:
        tree.add("moon", "crater", pose(1), 0, static=True)
        with pytest.raises(FrameError, match="not connected"):
            tree.lookup("map", "crater", 0)

    def test_loop_ends(self) -> None:
        tree = TransformTree()
        tree.add("a", "b", pose(0), 0, static=True)
        tree.add("b", "a", pose(0), 0, static=True)
        with pytest.raises(FrameError, match="loop"):
            tree.lookup("a", "b", 0)

    def test_old_transforms_are_forgotten(self, tree: TransformTree) -> None:
        tree.add("map", "odom", pose(0), 20 * SECOND)
        with pytest.raises(FrameError, match="before the oldest"):
            tree.lookup("map", "odom", 2 * SECOND)

    def test_clear_keeps_what_is_static(self, tree: TransformTree) -> None:
        tree.clear()
        torch.testing.assert_close(tree.lookup("base", "camera", 0), pose(0, z=0.5))
        with pytest.raises(FrameError, match="unknown"):
            tree.lookup("map", "camera", 0)


class TestSynchroniser:
    def message(self, stamp_s: float, name: str = "") -> Image:
        stamp = Time(sec=int(stamp_s), nanosec=round(stamp_s % 1 * 1e9))
        return Image(header=Header(stamp=stamp, frame_id=name))

    @pytest.fixture
    def made(self) -> list[dict]:
        return []

    @pytest.fixture
    def synchroniser(self, made: list[dict]) -> Synchroniser:
        return Synchroniser(["image", "info", "depth"], made.append, slop_s=lambda: 0.05, depth=4)

    def test_any_order(self, synchroniser: Synchroniser, made: list[dict]) -> None:
        for topic in ("depth", "image", "info"):
            assert not made
            synchroniser.add(topic, self.message(1.0, topic))
        assert [{t: m.header.frame_id for t, m in s.items()} for s in made] == [
            {"image": "image", "info": "info", "depth": "depth"}
        ]
        assert synchroniser.waits_for() == []

    def test_the_nearest_within_the_slop_is_joined(self, synchroniser: Synchroniser, made: list[dict]) -> None:
        for stamp in (0.96, 1.02, 1.2):
            synchroniser.add("depth", self.message(stamp, str(stamp)))
        synchroniser.add("info", self.message(1.0))
        synchroniser.add("image", self.message(1.0))
        assert [s["depth"].header.frame_id for s in made] == ["1.02"]

    def test_too_far_apart(self, synchroniser: Synchroniser, made: list[dict]) -> None:
        synchroniser.add("image", self.message(1.0))
        synchroniser.add("info", self.message(1.0))
        synchroniser.add("depth", self.message(1.06))
        assert not made

    def test_missing_topic_is_named(self, synchroniser: Synchroniser) -> None:
        synchroniser.add("image", self.message(1.0))
        synchroniser.add("info", self.message(1.0))
        assert synchroniser.waits_for() == ["depth"]

    def test_what_waits_is_bounded(self, synchroniser: Synchroniser, made: list[dict]) -> None:
        for i in range(10):
            synchroniser.add("image", self.message(float(i)))
        for i in range(10):
            synchroniser.add("info", self.message(float(i)))
        for i in range(10):
            synchroniser.add("depth", self.message(float(i)))
        assert [s["image"].header.stamp.sec for s in made] == [6, 7, 8, 9]


class TestWorldPath:
    @pytest.mark.parametrize("url", ["house", "a/b", "file://{root}/house", "{root}/house", "a/../house", "a b"])
    def test_below_the_root(self, tmp_path: Path, url: str) -> None:
        found = world_path(str(tmp_path), url.format(root=tmp_path))
        assert tmp_path.resolve() in found.parents

    def test_percent_escapes_of_urls(self, tmp_path: Path) -> None:
        assert world_path(str(tmp_path), f"file://{tmp_path}/a%20b") == tmp_path.resolve() / "a b"

    @pytest.mark.parametrize(
        "url",
        ["../other", "/etc/passwd", "file:///etc/passwd", "file://{root}/%2e%2e/other", ".", "", "a/../..", "a\0b"],
    )
    def test_elsewhere_is_refused(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(WorldFileError, match=r"world\.root|is no path"):
            world_path(str(tmp_path), url.format(root=tmp_path))

    @pytest.mark.parametrize("url", ["http://example.org/house", "file://example.org/house", "package://x/house"])
    def test_other_machines_are_refused(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(WorldFileError, match="on this machine"):
            world_path(str(tmp_path), url)

    def test_links_out_of_the_root_are_refused(self, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        (tmp_path / "root" / "link").symlink_to(tmp_path)
        with pytest.raises(WorldFileError, match=r"world\.root"):
            world_path(str(tmp_path / "root"), "link/house")


class TestSamplePath:
    def test_distance_and_angle_bound_the_steps(self) -> None:
        keys = [pose(0), pose(1), pose(1, yaw_deg=90), pose(1, 1, yaw_deg=90)]
        T = torch.stack(sample_path(keys, distance_m=0.3, angle_rad=np.radians(20), max_views=100))
        assert torch.equal(T[0], keys[0])
        torch.testing.assert_close(T[-1], keys[-1])
        metres = torch.linalg.vector_norm(T[1:, :3, 3] - T[:-1, :3, 3], dim=-1)
        angles = geodesic_distance(T[1:], T[:-1], translation_weight=0.0)
        assert metres.max() <= 0.3 + 1e-9
        assert angles.max() <= np.radians(20) + 1e-9

    def test_one_pose_and_standing_still(self) -> None:
        assert len(sample_path([pose(1)], distance_m=1, angle_rad=1, max_views=1)) == 1
        assert len(sample_path([pose(1)] * 5, distance_m=1, angle_rad=1, max_views=1)) == 1

    def test_too_long(self) -> None:
        with pytest.raises(InvalidPoseError, match=r"needs 11 views, path.max_views is 10"):
            sample_path([pose(0), pose(10)], distance_m=1, angle_rad=1, max_views=10)


class TestMotion:
    def test_straight_and_turning(self) -> None:
        torch.testing.assert_close(motion(np.array([2.0, 0, 0]), np.zeros(3), 0.5), pose(1))
        torch.testing.assert_close(
            motion(np.zeros(3), np.array([0, 0, np.pi]), 0.5), pose(0, yaw_deg=90), rtol=0, atol=1e-12
        )

    def test_small_steps_make_a_circle(self) -> None:
        """One metre a second forward and one radian a second to the left: a circle of one metre."""
        T = torch.eye(4, dtype=torch.float64)
        for _ in range(300):
            T = T @ motion(np.array([1.0, 0, 0]), np.array([0, 0, 1.0]), np.pi / 300)
        torch.testing.assert_close(T, pose(0, 2, yaw_deg=180), rtol=0, atol=1e-4)


class TestResults:
    @pytest.mark.parametrize("code", [c for c in ErrorCode if c != ErrorCode.NONE])
    def test_every_code_has_a_class_and_survives_the_text(self, code: ErrorCode) -> None:
        error = results.error_of(int(code), "what to do: this")
        assert error.code == code
        again = results.error_from_text(results.as_text(error))
        assert (type(again), str(again)) == (type(error), "what to do: this")

    def test_codes_are_those_of_the_message(self) -> None:
        assert {c.name: getattr(ErrorCodeMessage, c.name) for c in ErrorCode} == {c.name: c.value for c in ErrorCode}

    def test_foreign_errors_are_named(self) -> None:
        assert isinstance(results.as_vmem_error(torch.OutOfMemoryError("CUDA")), MemoryFullError)
        assert isinstance(results.as_vmem_error(MemoryError()), MemoryFullError)
        named = results.as_vmem_error(KeyError("weights"))
        assert isinstance(named, ModelError)
        assert str(named) == "KeyError: 'weights'"

    def test_unknown_codes_and_texts(self) -> None:
        assert str(results.error_of(999, "new")) == "new"
        assert str(results.error_from_text("free text")) == "free text"


class TestCommitLog:
    def test_consecutive_views_of_one_owner_are_one_commit(self) -> None:
        log, request = CommitLog(), object()
        log.add("seed")
        log.add(request, 4)
        log.add(request, 0)
        log.add(request, 2)
        assert log.last == 6
        log.add("seed 2")
        log.add(request)
        assert log.last == 1
        for expected in (1, 1, 6, 1):
            assert log.last == expected
            log.pop()
        assert log.last == 1

    def test_a_commit_that_was_taken_back_is_not_continued(self) -> None:
        log, request = CommitLog(), object()
        log.add(request, 3)
        log.pop()
        log.add(request, 2)
        assert log.last == 2


class TestEngines:
    def parameters(self, **changes: object) -> dict[str, object]:
        return {**{name: p.default for name, p in PARAMETERS.items()}, **changes}

    @pytest.fixture(autouse=True)
    def _threads_are_put_back(self) -> Iterator[None]:
        threads = torch.get_num_threads()
        yield
        torch.set_num_threads(threads)

    @pytest.mark.parametrize(("asked", "used"), [(3, 3), (0, max(1, (os.cpu_count() or 2) - 1))])
    def test_threads(self, asked: int, used: int) -> None:
        build_world(self.parameters(engine="reprojection", **{"model.cpu_threads": asked}))
        assert torch.get_num_threads() == used

    def test_a_world_without_a_model(self) -> None:
        world = build_world(self.parameters(engine="reprojection", **{"memory.max_views": 7, "camera.chunk": 3}))
        assert (world.generator.name, world.estimator.name, world.chunk, len(world)) == ("reprojection", "memory", 3, 0)
        assert world.memory.config.max_views == 7
        assert world.memory.config.max_surfels is None

    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("engine", "unheard_of", "use reprojection, vmem, or 'module:factory' of your own"),
            ("engine", "no_such_module:make", "cannot be imported: No module named 'no_such_module'"),
            ("engine", "math:make", "cannot be imported: module 'math' has no attribute 'make'"),
            ("model.device", "cuda:77", "available are cpu"),
            ("model.device", "abacus", "available are cpu"),
        ],
    )
    def test_unknown_names_are_told_what_exists(self, name: str, value: str, text: str) -> None:
        with pytest.raises(ModelError, match=text):
            build_world(self.parameters(**{name: value}))

    def test_vmem_is_built_from_its_parameters_and_follows_those_of_sampling(self, tmp_path: Path) -> None:
        pipeline = tiny_pipeline()
        pipeline.register_to_config(sampling={"sampler": "fast", "num_inference_steps": 2})
        pipeline.save_pretrained(tmp_path)
        parameters = self.parameters(
            **{
                "model.path": str(tmp_path),
                "model.dtype": "bfloat16",
                "model.max_side": 32,
            }
        )
        world = build_world(parameters)
        assert (world.generator.name, world.generator.max_side) == ("vmem", 32)
        assert world.generator.pipeline.unet.dtype == torch.bfloat16
        camera = Camera.from_fov(64, 48, 80)
        world.observe(box_view(camera, look_at((-1, 0, 0), (3, 0, 0))))
        steps: list[int] = []
        for wanted in (0, 3):  # 0: the model's own
            parameters["sampling.steps"] = wanted
            target = Target(camera, look_at((-0.5, 0.1 * wanted, 0), (3, 0, 0)))
            list(world.explore([target], on_progress=lambda progress: steps.append(progress.steps)))
        assert steps == [2, 2, 3, 3, 3]

    def test_vmem_without_a_model_or_its_packages_says_what_to_do(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(ModelError, match=r"no pipeline folder .*gone: make one .* with `vmem convert`"):
            build_world(self.parameters(**{"model.path": str(tmp_path / "gone")}))
        for module in [name for name in sys.modules if name.startswith("vmem_ros.generation.")]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, "diffusers", None)
        with pytest.raises(ModelError, match=r"needs a package .*diffusers.*: pip install diffusers transformers"):
            build_world(self.parameters())


def test_documentation_is_current() -> None:
    written = Path(__file__).resolve().parent.parent / "docs" / "ros_interface.md"
    assert written.read_text(encoding="utf-8") == docs.render(), (
        "run: python -m vmem_ros.nodes.docs docs/ros_interface.md"
    )
