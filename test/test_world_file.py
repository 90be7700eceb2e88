"""World files: what is refused, and that nothing is ever lost."""

import dataclasses
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from memories import CAMERA, differences, same_projection, snapshot, views_at
from rooms import box_view, orbit
from vmem_ros import world_file
from vmem_ros.errors import WorldFileError
from vmem_ros.memory import view_storage
from vmem_ros.pointmaps import SensorDepth
from vmem_ros.types import Elements, Target
from vmem_ros.world import World, default_world
from vmem_ros.world_file import read_world, write_world

HERE = Path(__file__).resolve().parent
VIEWS = views_at(orbit(8)[:3])
TARGET = Target(CAMERA, orbit(24)[1])


@pytest.fixture(scope="module")
def world() -> World:
    """A world with seen and imagined views."""
    out = default_world()
    for view in VIEWS:
        out.observe(view)
    list(out.explore([TARGET]))
    return out


@pytest.fixture
def path(world, tmp_path) -> Path:
    world.save(tmp_path / "kitchen.world")
    return tmp_path / "kitchen.world"


@pytest.fixture
def other() -> World:
    """A world with another content, which a failed load must leave alone."""
    out = default_world()
    out.seed(views_at(orbit(8)[5:6])[0])
    return out


def refuse(other: World, path: Path, match: str) -> None:
    before = snapshot(other.memory)
    with pytest.raises(WorldFileError, match=match):
        other.load(path)
    assert differences(snapshot(other.memory), before) == []
    assert other.scale == "metric"


def rewrite(path: Path, tensors=None, **header: str) -> None:
    """Write the file again with other tensors or other entries in its header."""
    with safe_open(path, framework="pt") as file:
        old = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        entries = file.metadata() | header
    save_file(old if tensors is None else tensors, path, metadata={k: v for k, v in entries.items() if v is not None})


class OwnScale(SensorDepth):
    """Sees the depth of the room in units of half a metre, and says that its scale is its own."""

    name = "own scale"
    uses_image = True
    metric = False

    def estimate(self, views, recall=None):
        seen = [dataclasses.replace(view, depth=2 * box_view(CAMERA, view.T_world_camera).depth) for view in views]
        return super().estimate(seen)


def relative() -> World:
    """Return a world that began with an image without depth, seen by an estimator without metres."""
    world = default_world(estimator=OwnScale())
    world.seed(dataclasses.replace(VIEWS[0], depth=None))
    assert world.scale == "relative"
    return world


class TestRoundTrip:
    def test_everything_comes_back(self, world, path, other):
        other.load(path)
        assert differences(snapshot(other.memory), snapshot(world.memory)) == []
        assert other.scale == world.scale
        assert same_projection(other.glimpse(TARGET), world.glimpse(TARGET))
        (frame,) = other.explore([TARGET])
        assert frame.reused

    def test_size_is_that_of_the_file(self, world, tmp_path):
        assert world.save(tmp_path / "a") == (tmp_path / "a").stat().st_size

    def test_scale(self, tmp_path, other):
        relative().save(tmp_path / "a")
        other.load(tmp_path / "a")
        assert other.scale == "relative"

    def test_another_kind_of_memory_is_refused_by_name(self, world, path, tmp_path, other):
        tensors, metadata = read_world(path)
        assert (metadata["kind"], metadata["options"]["selection"]) == ("surfel", "votes")
        write_world(tmp_path / "b", tensors, {**metadata, "kind": "points"}, overwrite=False)
        before = snapshot(other.memory)
        with pytest.raises(WorldFileError, match="memory of kind 'points' and this world has one of kind 'surfel'"):
            other.load(tmp_path / "b")
        assert differences(snapshot(other.memory), before) == []

    def test_a_file_from_before_there_were_kinds(self, world, path, tmp_path, other):
        """It names neither kind nor commits: surfels, and each view a commit of its own."""
        tensors, metadata = read_world(path)
        old = {name: tensor for name, tensor in tensors.items() if name != "views/commit"}
        write_world(tmp_path / "b", old, {n: metadata[n] for n in ("scale", "memory")}, overwrite=False)
        other.load(tmp_path / "b")
        assert other.memory.commits == (1,) * len(world)
        assert same_projection(other.glimpse(TARGET), world.glimpse(TARGET))

    def test_empty_world(self, tmp_path, other):
        default_world().save(tmp_path / "empty")
        other.load(tmp_path / "empty")
        assert len(other) == 0

    def test_the_file_may_change_afterwards(self, world, path, other):
        other.load(path)
        path.write_bytes(bytes(path.stat().st_size))
        assert differences(snapshot(other.memory), snapshot(world.memory)) == []

    def test_nobody_else_may_read_it_unless_told_otherwise(self, world, path):
        """Pictures of a camera are private; who opens a file to others keeps it open."""
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o640)
        world.save(path, overwrite=True)
        assert path.stat().st_mode & 0o777 == 0o640

    def test_a_reset_brings_the_scale_back(self, tmp_path, other):
        relative().save(tmp_path / "a")
        other.load(tmp_path / "a")
        other.reset()
        assert other.scale == "metric"

    def test_nothing_else_is_left_in_the_folder(self, path):
        assert [p.name for p in path.parent.iterdir()] == ["kitchen.world"]

    def test_views_are_observed_and_generated(self, world, path, other):
        other.load(path)
        assert [v.source for v in other.memory.views] == [v.source for v in world.memory.views]

    def test_undo_and_exploring_go_on_after_loading(self, path, other):
        other.load(path)
        other.undo(1)
        (frame,) = other.explore([TARGET])
        assert not frame.reused


class TestSaveRefuses:
    def test_an_existing_file(self, path):
        before = path.read_bytes()
        with pytest.raises(WorldFileError, match="exists"):
            default_world().save(path)
        assert path.read_bytes() == before

    def test_unless_it_may_overwrite(self, path, other):
        other.save(path, overwrite=True)
        loaded = default_world()
        loaded.load(path)
        assert differences(snapshot(loaded.memory), snapshot(other.memory)) == []

    def test_a_missing_folder(self, world, tmp_path):
        with pytest.raises(WorldFileError, match="create it first"):
            world.save(tmp_path / "nowhere" / "a")

    def test_a_folder(self, world, tmp_path):
        with pytest.raises(WorldFileError, match="is a folder"):
            world.save(tmp_path, overwrite=True)

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("a" * 250, "File name too long"),  # not itself: the folder that it is written in
            ("a" * 256, "File name too long"),
            ("file/inside/world", "Not a directory"),
            ("/".join("d" * 2000), "too deep|File name too long"),
            ("/".join(["d" * 9] * 2000), "File name too long"),
        ],
    )
    @pytest.mark.parametrize("make_folder", [True, False])
    def test_impossible_names(self, world, tmp_path, name, why, make_folder):
        (tmp_path / "file").touch()
        with pytest.raises(WorldFileError, match=f"cannot write.*({why})" if make_folder else None) as caught:
            world.save(tmp_path / name, make_folder=make_folder)
        if make_folder:
            assert len(str(caught.value)) < 500
        assert [path.name for path in tmp_path.iterdir()] == ["file"]

    def test_what_killed_saves_have_left_goes_whatever_they_were_called(self, world, tmp_path):
        """By its content: a folder that is only called like one stays."""
        (tmp_path / ".other.world.0123abcd.tmp" / "new").mkdir(parents=True)
        (tmp_path / ".mine.0123abcd.tmp" / "photos").mkdir(parents=True)
        world.save(tmp_path / "kitchen")
        assert sorted(path.name for path in tmp_path.iterdir()) == [".mine.0123abcd.tmp", "kitchen"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_without_permission(self, world, tmp_path):
        tmp_path.chmod(0o500)
        try:
            with pytest.raises(WorldFileError, match="cannot write"):
                world.save(tmp_path / "a")
        finally:
            tmp_path.chmod(0o700)


class TestLoadRefuses:
    def test_a_missing_file(self, other, tmp_path):
        refuse(other, tmp_path / "nowhere", "is not a file")

    def test_a_folder(self, other, tmp_path):
        refuse(other, tmp_path, "is not a file")

    @pytest.mark.parametrize("name", ["a" * 256, "/".join("d" * 2000), "/".join(["d" * 9] * 2000)])
    def test_impossible_names(self, other, tmp_path, name):
        refuse(other, tmp_path / name, "is not a file|File name too long")

    @pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.999999])
    def test_a_truncated_file(self, other, path, share):
        size = path.stat().st_size
        os.truncate(path, int(size * share))
        refuse(other, path, "no complete world file")

    def test_a_longer_file(self, other, path):
        path.write_bytes(path.read_bytes() + b"\0" * 8)
        refuse(other, path, "no complete world file")

    @pytest.mark.parametrize("where", [0.2, 0.5, 0.9, 1.0])
    def test_a_flipped_bit(self, other, path, where):
        data = bytearray(path.read_bytes())
        header = int.from_bytes(data[:8], "little") + 8
        at = header + int((len(data) - header - 1) * where)
        data[at] ^= 0x10
        path.write_bytes(data)
        refuse(other, path, "checksum")

    def test_a_flipped_bit_anywhere_in_the_header(self, other, path):
        """Whatever it hits: no file that differs in one bit is loaded."""
        data = path.read_bytes()
        header = int.from_bytes(data[:8], "little") + 8
        generator = torch.Generator().manual_seed(0)
        for at in torch.randint(0, header, (60,), generator=generator).tolist():
            damaged = bytearray(data)
            damaged[at] ^= 0x02
            path.write_bytes(damaged)
            with pytest.raises(WorldFileError):
                other.load(path)

    def test_changed_metadata(self, other, path):
        rewrite(path, metadata=json.dumps({"scale": "relative", "memory": {"views": []}}))
        refuse(other, path, "checksum")

    def test_a_file_without_a_checksum(self, other, path):
        rewrite(path, sha256=None)
        refuse(other, path, "checksum")

    def test_a_newer_version(self, other, path):
        rewrite(path, format_version=str(world_file.FORMAT_VERSION + 1))
        refuse(other, path, "update vmem_ros")

    @pytest.mark.parametrize("version", ["", "one", "1.5"])
    def test_a_version_that_is_none(self, other, path, version):
        rewrite(path, format_version=version)
        refuse(other, path, "no complete world file")

    def test_another_safetensors_file(self, other, tmp_path):
        save_file({"weight": torch.zeros(3)}, tmp_path / "model.safetensors")
        refuse(other, tmp_path / "model.safetensors", "not a world")

    @pytest.mark.parametrize(
        "content", [b"", b"{}", b"\xff" * 100, b"P6 1 1 255 abc", b"\x08" + b"\0" * 7 + b"[[[[[[[["]
    )
    def test_other_files(self, other, tmp_path, content):
        (tmp_path / "photo").write_bytes(content)
        refuse(other, tmp_path / "photo", "no complete world file")

    @pytest.mark.parametrize(
        "metadata", ["[]", "{}", '{"scale": "metric"}', '{"scale": "feet", "memory": {}}', "[" * 50000]
    )
    def test_metadata_of_another_kind_with_a_right_checksum(self, other, tmp_path, metadata):
        header = {"format": world_file.FORMAT, "format_version": "1", "metadata": metadata}
        header["sha256"] = world_file._digest({"a": torch.zeros(2)}, metadata)
        save_file({"a": torch.zeros(2)}, tmp_path / "odd", metadata=header)
        refuse(other, tmp_path / "odd", "metadata|world file")

    @pytest.mark.parametrize(
        ("metadata", "match"),
        [
            ({"scale": "feet"}, "metadata"),
            ({"scale": "metric", "memory": {}}, "list of views"),
            ({"scale": "metric", "memory": {"views": []}}, "8.05e+08 numbers for 0 views"),
            ({"scale": "metric", "memory": {"views": [{"width": 64, "height": 48}]}}, "expected [48, 64, 3]"),
            ({"scale": "metric", "memory": {"views": [{"width": 2**14, "height": 2**14}]}}, "checksum"),
        ],
    )
    def test_no_memory_is_taken_for_a_large_one_that_is_refused(self, tmp_path, metadata, match):
        """A sparse file of 800 MB, in a process that may have its pages and half as much beside.

        Only what might be the views of a world is read, to find that its checksum is another.
        """
        header = {
            "format": world_file.FORMAT,
            "format_version": "1",
            "metadata": json.dumps(metadata),
            "sha256": "0" * 64,
        }
        size = 3 * 2**28
        entry = {"dtype": "U8", "shape": [2**14, 2**14, 3], "data_offsets": [0, size]}
        text = json.dumps({"__metadata__": header, "views/0/image": entry}).encode()
        with (tmp_path / "large").open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + size)
        script = """
import resource, sys
import torch
from vmem_ros.errors import WorldFileError
from vmem_ros.world import default_world
world = default_world()
(taken,) = (int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (taken + 3 * 2**28 + 2**29, resource.RLIM_INFINITY))
try:
    world.load(sys.argv[1])
except WorldFileError as error:
    print(error)
"""
        command = [sys.executable, "-c", script, str(tmp_path / "large")]
        done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, timeout=120, check=False)
        assert match in done.stdout, done.stdout + done.stderr

    def test_a_large_cloud_that_was_added_loads(self, other, tmp_path, monkeypatch):
        """What edits add is not bounded by the pixels of views."""
        monkeypatch.setattr(view_storage, "_ENTRIES_BESIDE", 0)
        monkeypatch.setattr(view_storage, "_ENTRIES_PER_PIXEL", 32)
        edited = default_world()
        edited.seed(VIEWS[0])
        edited.save(tmp_path / "before")
        places = torch.rand(50_000, 3, generator=torch.Generator().manual_seed(0)) * 20 - 10
        edited.edit(add=Elements(places, torch.full((50_000, 3), 128, dtype=torch.uint8)))
        edited.save(tmp_path / "after")
        for name in ("after", "before"):
            other.load(tmp_path / name)
        edited.undo()
        assert differences(snapshot(other.memory), snapshot(edited.memory)) == []

    def test_a_pickle_is_not_executed(self, other, tmp_path):
        """Both a bare pickle and one in torch's own format, whose loading would leave a file behind."""
        trace = tmp_path / "executed"
        pickle_file, torch_file = tmp_path / "a.world", tmp_path / "b.world"
        pickle_file.write_bytes(pickle.dumps(Bomb(trace)))
        torch.save(Bomb(trace), torch_file)
        for file in (pickle_file, torch_file):
            refuse(other, file, "no complete world file")
        assert not trace.exists()
        pickle.loads(pickle_file.read_bytes())
        assert trace.exists(), "the trap does not work: the test shows nothing"


class Bomb:
    """Something that writes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


class TestPowerCut:
    """In processes of their own, because the process is what dies."""

    PREPARE = """
import dataclasses
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
sys.path[:0] = {folders!r}
from memories import views_at
from rooms import box_view, orbit
from vmem_ros.errors import WorldFileError
from vmem_ros.pointmaps import SensorDepth
from vmem_ros.world import default_world
path = Path({path!r})
world = default_world()
for view in views_at(orbit(8)[:2]):
    # A large latent makes writing take long enough to be hit.
    world.observe(dataclasses.replace(view, latent=torch.zeros(2000, 2000)))
"""

    def script(self, path: Path, body: str) -> list[str]:
        return [
            sys.executable,
            "-c",
            self.PREPARE.format(folders=[str(HERE / "helpers"), str(HERE / "contracts")], path=str(path)) + body,
        ]

    @pytest.mark.slow
    def test_kill_in_the_middle_of_saving(self, path, other):
        """The file is replaced over and over until the process is killed; whenever that is, a whole world is there."""
        body = "print('ready', flush=True)\nwhile True:\n    world.save(path, overwrite=True)\n"
        for delay in (0.0, 0.04, 0.1):
            process = subprocess.Popen(self.script(path, body), stdout=subprocess.PIPE, text=True)
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                time.sleep(delay)
            finally:
                process.send_signal(signal.SIGKILL)
                process.communicate()
            other.load(path)
            assert len(other) in (2, 4)
        # What was being written stays behind as a hidden file, at most.
        assert all(p == path or p.name.startswith(".") for p in path.parent.iterdir())

    def test_disk_full(self, path):
        """A limit on file size stands for a full disk: the write fails in the middle, and the old file stays."""
        before = path.read_bytes()
        body = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 8}, resource.RLIM_INFINITY))
try:
    world.save(path, overwrite=True)
except WorldFileError as error:
    print(error)
"""
        result = subprocess.run(self.script(path, body), capture_output=True, text=True, timeout=120)
        assert "cannot write" in result.stdout, result.stdout + result.stderr
        assert path.read_bytes() == before
        assert [p.name for p in path.parent.iterdir()] == [path.name]
