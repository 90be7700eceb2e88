"""Parts of the node that need no running node: transforms, synchronisation, paths, results, commits, documentation."""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from weakref import WeakKeyDictionary, ref

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import Image
from vmem_ros.msg import ErrorCode as ErrorCodeMessage

from repository import ROOT
from rooms import box_view
from tiny_models import tiny_pipeline
from vmem_ros.errors import ErrorCode, FrameError, InvalidPoseError, MemoryFullError, ModelError, WorldFileError
from vmem_ros.geometry import Camera, geodesic_distance, invert, look_at, pose_from
from vmem_ros.memory.surfel import SurfelMemoryConfig
from vmem_ros.nodes.camera.build_world import build_world
from vmem_ros.nodes.camera.commits import CommitLog
from vmem_ros.nodes.camera.pose_commands import sample_path
from vmem_ros.nodes.camera.synchroniser import Synchroniser
from vmem_ros.nodes.camera.teleop import motion
from vmem_ros.nodes.camera.tf_buffer import TransformTree
from vmem_ros.nodes.camera.world_paths import world_path
from vmem_ros.nodes.interface import docs, error_codes
from vmem_ros.nodes.interface.conversions import header, stamp_to_ns
from vmem_ros.nodes.interface.parameters import PARAMETERS
from vmem_ros.types import Target, View
from vmem_ros.world import World, default_world

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
    """Three topics; ``made`` holds the stamps in ms of the sets that went out, and ``wait`` lets time pass."""

    PATIENCE_S = 0.5

    @pytest.fixture
    def now(self) -> list[float]:
        return [0.0]

    @pytest.fixture
    def made(self) -> list[tuple[int, ...]]:
        return []

    @pytest.fixture
    def synchroniser(self, made: list[tuple[int, ...]], now: list[float]) -> Synchroniser:
        return Synchroniser(
            {"image": 4, "info": 4, "depth": 4},
            lambda messages: made.append(tuple(stamp_to_ns(m.header.stamp) // 1_000_000 for m in messages.values())),
            slop_s=lambda: 0.05,
            patience_s=self.PATIENCE_S,
            clock=lambda: now[0],
        )

    def add(self, synchroniser: Synchroniser, topic: str, *stamps_ms: int) -> None:
        for stamp in stamps_ms:
            synchroniser.add(topic, Image(header=header("", stamp * 1_000_000)))

    @pytest.mark.parametrize("order", list(itertools.permutations(("image", "info", "depth"))))
    def test_equal_stamps_are_joined_at_once(
        self, synchroniser: Synchroniser, made: list[tuple[int, ...]], order: tuple[str, ...]
    ) -> None:
        for topic in order:
            assert not made
            self.add(synchroniser, topic, 1000)
        assert made == [(1000, 1000, 1000)]
        synchroniser.release()
        assert len(made) == 1

    def test_a_lost_message_is_not_replaced_by_one_of_the_next_frame(
        self, synchroniser: Synchroniser, made: list[tuple[int, ...]]
    ) -> None:
        """Thirty frames a second: the neighbour is within the slop."""
        self.add(synchroniser, "image", 0)
        self.add(synchroniser, "info", 0)
        for stamp in (33, 66):
            for topic in ("image", "info", "depth"):
                self.add(synchroniser, topic, stamp)
        assert made == [(33, 33, 33), (66, 66, 66)]

    def test_an_image_that_comes_late_still_gets_its_own_depth(
        self, synchroniser: Synchroniser, made: list[tuple[int, ...]]
    ) -> None:
        """Depth of the first frame is lost, and large images come later than depth."""
        self.add(synchroniser, "image", 0)
        self.add(synchroniser, "info", 0, 33)
        self.add(synchroniser, "depth", 43, 76)
        assert not made
        self.add(synchroniser, "image", 33, 66)
        assert made == [(33, 33, 43)]

    @pytest.mark.parametrize("offset", [-13, -10, 10, 13])
    def test_constant_offsets_pair_each_message_once(
        self, synchroniser: Synchroniser, made: list[tuple[int, ...]], now: list[float], offset: int
    ) -> None:
        frames = (33, 66, 100, 133, 166)
        for stamp in frames:
            stamps = {"image": stamp, "info": stamp, "depth": stamp + offset}
            for topic in sorted(stamps, key=stamps.__getitem__):
                now[0] = stamps[topic] / 1000
                self.add(synchroniser, topic, stamps[topic])
        expected = [(stamp, stamp, stamp + offset) for stamp in frames]
        assert made == expected[:-1]
        now[0] += self.PATIENCE_S + 0.01
        synchroniser.release()
        assert made == expected

    def test_the_nearer_one_is_waited_for_but_not_for_ever(
        self, synchroniser: Synchroniser, made: list[tuple[int, ...]], now: list[float]
    ) -> None:
        self.add(synchroniser, "depth", 960)
        self.add(synchroniser, "info", 1000)
        self.add(synchroniser, "image", 1000)
        now[0] += self.PATIENCE_S - 0.01
        self.add(synchroniser, "depth", 1020)
        now[0] += 0.02
        synchroniser.release()
        assert not made, "1020 has just come, and an image that is nearer to it may follow"
        now[0] += self.PATIENCE_S
        synchroniser.release()
        assert made == [(1000, 1000, 1020)]

    def test_poses_at_a_high_rate(self, made: list[tuple[int, ...]]) -> None:
        poses = Synchroniser(
            {"image": 4, "pose": 40},
            lambda messages: made.append(tuple(stamp_to_ns(m.header.stamp) // 1_000_000 for m in messages.values())),
            slop_s=lambda: 0.05,
            patience_s=self.PATIENCE_S,
        )
        for at in range(0, 200, 5):
            self.add(poses, "pose", at)
            if at % 30 == 0:
                self.add(poses, "image", at + 2)
        assert made == [(2, 0), (32, 30), (62, 60), (92, 90), (122, 120), (152, 150), (182, 180)]

    def test_too_far_apart(self, synchroniser: Synchroniser, made: list[tuple[int, ...]], now: list[float]) -> None:
        self.add(synchroniser, "image", 1000)
        self.add(synchroniser, "info", 1000)
        self.add(synchroniser, "depth", 1060, 1200)
        now[0] += self.PATIENCE_S
        synchroniser.release()
        assert not made

    def test_missing_topic_is_named_when_others_have_waited(self, synchroniser: Synchroniser, now: list[float]) -> None:
        self.add(synchroniser, "image", 1000)
        self.add(synchroniser, "info", 1000)
        assert synchroniser.waits_for() == []
        now[0] += self.PATIENCE_S
        assert synchroniser.waits_for() == ["depth"]
        self.add(synchroniser, "depth", 1000)
        assert synchroniser.waits_for() == []

    def test_what_waits_is_bounded(self, synchroniser: Synchroniser, made: list[tuple[int, ...]]) -> None:
        stamps = [1000 * i for i in range(10)]
        for topic in ("image", "info", "depth"):
            self.add(synchroniser, topic, *stamps)
        assert made == [(stamp, stamp, stamp) for stamp in stamps[-4:]]

    def test_a_camera_whose_clock_was_set_back_is_heard_again(
        self, synchroniser: Synchroniser, made: list[tuple[int, ...]]
    ) -> None:
        self.add(synchroniser, "image", *range(9000, 9400, 100))
        for stamp in (100, 200):
            for topic in ("image", "info", "depth"):
                self.add(synchroniser, topic, stamp)
        assert made == [(100, 100, 100), (200, 200, 200)]


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
        error = error_codes.error_of(int(code), "what to do: this")
        assert error.code == code
        again = error_codes.error_from_text(error_codes.as_text(error))
        assert (type(again), str(again)) == (type(error), "what to do: this")

    def test_codes_are_those_of_the_message(self) -> None:
        assert {c.name: getattr(ErrorCodeMessage, c.name) for c in ErrorCode} == {c.name: c.value for c in ErrorCode}

    def test_foreign_errors_are_named(self) -> None:
        assert isinstance(error_codes.as_vmem_error(torch.OutOfMemoryError("CUDA")), MemoryFullError)
        assert isinstance(error_codes.as_vmem_error(MemoryError()), MemoryFullError)
        named = error_codes.as_vmem_error(KeyError("weights"))
        assert isinstance(named, ModelError)
        assert str(named) == "KeyError: 'weights'"

    def test_unknown_codes_and_texts(self) -> None:
        assert str(error_codes.error_of(999, "new")) == "new"
        assert str(error_codes.error_from_text("free text")) == "free text"


class TestCommitLog:
    CAMERA = Camera.from_fov(32, 24, 80)

    def world(self, *, max_views: int | None = None) -> World:
        return default_world(memory=SurfelMemoryConfig(max_views=max_views))

    def store(self, world: World, log: CommitLog, owner: object, count: int = 1) -> None:
        for _ in range(count):
            world.observe(box_view(self.CAMERA, look_at((-1, 0.01 * len(world), 0), (3, 0, 0))))
            log.add(owner)

    def following(self, world: World) -> CommitLog:
        log = CommitLog()
        log.follow(world)
        return log

    def taken_back(self, world: World, log: CommitLog) -> list[int]:
        """Return how many views each undo takes back until nothing is left."""
        out = []
        while len(world):
            out.append(log.last)
            world.undo(log.last)
        return out

    def test_consecutive_views_of_one_owner_are_one_commit(self) -> None:
        world, request = self.world(), object()
        log = self.following(world)
        self.store(world, log, "seed")
        self.store(world, log, request, 4)
        log.add("seed 2")  # without a view that is new
        self.store(world, log, request, 2)
        self.store(world, log, "seed 3")
        self.store(world, log, request)
        assert self.taken_back(world, log) == [1, 1, 6, 1]
        assert log.last == 1

    def test_a_commit_that_was_taken_back_is_not_continued(self) -> None:
        world, request = self.world(), object()
        log = self.following(world)
        self.store(world, log, request, 3)
        world.undo(log.last)
        self.store(world, log, request, 2)
        assert log.last == 2

    def test_views_that_were_evicted_are_not_taken_back_twice(self) -> None:
        """Whichever views a bounded memory forgets, an undo takes those of one commit, and only those that are left."""
        world = self.world(max_views=5)
        log = self.following(world)
        owners: WeakKeyDictionary[View, str] = WeakKeyDictionary()
        for owner, count in {"a": 3, "b": 4, "c": 1, "d": 2}.items():
            for _ in range(count):
                self.store(world, log, owner)
                owners[world.memory.views[-1]] = owner
        left = [owners[view] for view in world.memory.views]
        assert len(left) <= 5
        expected = [len(list(group)) for _, group in itertools.groupby(reversed(left))]
        assert self.taken_back(world, log) == expected

    def test_loaded_views_are_taken_back_one_by_one(self, tmp_path: Path) -> None:
        world = self.world()
        log = self.following(world)
        self.store(world, log, "a", 3)
        world.save(tmp_path / "world")
        world.load(tmp_path / "world")
        log.follow(world)
        self.store(world, log, "b", 2)
        assert self.taken_back(world, log) == [2, 1, 1, 1]

    def test_keeps_no_view_alive(self) -> None:
        world = self.world()
        log = self.following(world)
        self.store(world, log, "a")
        view = ref(world.memory.views[0])
        world.reset()
        assert view() is None


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
    written = ROOT / "docs" / "ros_interface.md"
    assert written.read_text(encoding="utf-8") == docs.render(), (
        "run: python -m vmem_ros.nodes.interface.docs docs/ros_interface.md"
    )
