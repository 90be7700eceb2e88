"""Files and folders that are replaced whole or not at all, whoever is killed meanwhile."""

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vmem_ros import files
from vmem_ros.files import atomic_file, atomic_folder, remove_leftovers, write_text

ROOT = Path(__file__).resolve().parent.parent


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[0o022, 0o077], ids=["open", "private"])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def killed_while_writing(path: Path, body: str) -> None:
    """Run a block of ``atomic_file`` or ``atomic_folder`` in a process that is killed inside it."""
    script = f"""
import os, signal
from pathlib import Path
from vmem_ros import files
path = Path({str(path)!r})
{body}
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL


def interrupted(path: Path) -> None:
    with atomic_file(path) as new:
        new.write_text("half of it")
        raise KeyboardInterrupt


class TestFile:
    def test_new_with_folders_above_it(self, tmp_path):
        write_text(tmp_path / "a" / "b" / "text.md", "ä\n")
        assert (tmp_path / "a" / "b" / "text.md").read_bytes() == "ä\n".encode()
        assert names(tmp_path / "a" / "b") == ["text.md"]

    def test_the_name_to_write_to_has_the_same_ending(self, tmp_path):
        """Writers of pictures and models choose the format by it."""
        with atomic_file(tmp_path / "plot.png") as new:
            assert new.name == "plot.png"
            assert new.parent != tmp_path

    def test_until_the_block_ends_the_old_content_is_there(self, tmp_path):
        path = tmp_path / "a"
        path.write_text("old")
        with atomic_file(path) as new:
            new.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"

    def test_an_error_leaves_the_old_content_and_nothing_else(self, tmp_path):
        path = tmp_path / "a"
        path.write_text("old")
        with pytest.raises(KeyboardInterrupt):
            interrupted(path)
        assert path.read_text() == "old"
        assert names(tmp_path) == ["a"]

    def test_an_error_leaves_no_file_where_there_was_none(self, tmp_path):
        with pytest.raises(ValueError, match="mine"), atomic_file(tmp_path / "a"):
            raise ValueError("mine")
        assert names(tmp_path) == []

    def test_permissions_are_those_of_any_new_file(self, tmp_path, umask):
        with atomic_file(tmp_path / "a") as new:
            new.unlink()
            # As safetensors does it.
            os.close(os.open(new, os.O_CREAT | os.O_WRONLY, 0o600))
        assert mode(tmp_path / "a") == 0o666 & ~umask

    def test_permissions_of_the_old_file_stay(self, tmp_path, umask):
        write_text(tmp_path / "a", "old")
        (tmp_path / "a").chmod(0o640)
        write_text(tmp_path / "a", "new")
        assert mode(tmp_path / "a") == 0o640

    def test_nobody_else_reads_it_before_it_has_them(self, tmp_path):
        with atomic_file(tmp_path / "a") as new:
            assert mode(new.parent.parent) == 0o700

    def test_a_folder_in_its_place_is_refused(self, tmp_path):
        (tmp_path / "a").mkdir()
        with pytest.raises(IsADirectoryError):
            write_text(tmp_path / "a", "text")
        assert names(tmp_path) == ["a"]

    def test_a_link_is_replaced(self, tmp_path):
        write_text(tmp_path / "a", "old")
        (tmp_path / "link").symlink_to("a")
        write_text(tmp_path / "link", "new")
        assert (tmp_path / "a").read_text() == "old"
        assert not (tmp_path / "link").is_symlink()


class TestFolder:
    def fail(self, path: Path) -> None:
        with atomic_folder(path) as new:
            (new / "two").write_text("2")
            raise ZeroDivisionError

    def fill(self, path: Path, **content: str) -> None:
        with atomic_folder(path) as new:
            for name, text in content.items():
                (new / "inside").mkdir(exist_ok=True)
                (new / "inside" / name).write_text(text)

    def test_replaced_whole(self, tmp_path):
        self.fill(tmp_path / "a", one="1", two="2")
        self.fill(tmp_path / "a", three="3")
        assert names(tmp_path / "a" / "inside") == ["three"]
        assert names(tmp_path) == ["a"]

    def test_a_folder_called_like_the_hidden_ones(self, tmp_path):
        for name in ("old", "new"):
            self.fill(tmp_path / name, one="1")
            self.fill(tmp_path / name, two="2")
            assert names(tmp_path / name / "inside") == ["two"]

    def test_an_error_leaves_the_old_folder_and_nothing_else(self, tmp_path):
        self.fill(tmp_path / "a", one="1")
        with pytest.raises(ZeroDivisionError):
            self.fail(tmp_path / "a")
        assert names(tmp_path / "a" / "inside") == ["one"]
        assert names(tmp_path) == ["a"]

    def test_an_error_of_the_second_rename_brings_the_old_folder_back(self, tmp_path):
        self.fill(tmp_path / "a", one="1")
        with pytest.raises(OSError, match="No such file"), atomic_folder(tmp_path / "a") as new:
            new.rmdir()
        assert names(tmp_path / "a" / "inside") == ["one"]
        assert names(tmp_path) == ["a"]

    def test_a_file_in_its_place_is_refused(self, tmp_path):
        write_text(tmp_path / "a", "mine")
        with pytest.raises(NotADirectoryError, match="is a file"):
            self.fill(tmp_path / "a", one="1")
        assert (tmp_path / "a").read_text() == "mine"

    def test_who_may_enter_may_read(self, tmp_path):
        before = os.umask(0o022)
        try:
            with atomic_folder(tmp_path / "a") as new:
                os.close(os.open(new / "weights", os.O_CREAT | os.O_WRONLY, 0o600))
        finally:
            os.umask(before)
        assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "weights")) == (0o755, 0o644)
        (tmp_path / "a").chmod(0o750)
        self.fill(tmp_path / "a", one="1")
        assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "inside" / "one")) == (0o750, 0o640)


class TestLeftovers:
    WRITE = "context = files.atomic_file(path)\ncontext.__enter__().write_text('half')"

    def test_of_a_killed_process_go_with_the_next_write(self, tmp_path):
        killed_while_writing(tmp_path / "a", self.WRITE)
        (left,) = tmp_path.iterdir()
        assert left.name.startswith(".a.")
        write_text(tmp_path / "b", "another name")
        assert left.exists()
        write_text(tmp_path / "a", "whole")
        assert names(tmp_path) == ["a", "b"]

    def test_names_that_glob_would_read_as_patterns(self, tmp_path):
        killed_while_writing(tmp_path / "[a]*", self.WRITE)
        killed_while_writing(tmp_path / "a", self.WRITE)
        write_text(tmp_path / "[a]*", "whole")
        assert [name[:3] for name in names(tmp_path)] == [".a.", "[a]"]

    def test_by_pattern(self, tmp_path):
        for name in ("step-1", "step-2", "log"):
            killed_while_writing(tmp_path / name, self.WRITE)
        remove_leftovers(tmp_path, "step-*")
        assert [name[:5] for name in names(tmp_path)] == [".log."]

    def test_what_is_being_written_stays(self, tmp_path):
        """In this process, by another thread, and in another one."""
        with atomic_file(tmp_path / "a") as new:
            new.write_text("first")
            thread = threading.Thread(target=write_text, args=(tmp_path / "a", "second"))
            thread.start()
            thread.join()
            command = "import sys; from pathlib import Path; from vmem_ros import files; "
            command += "files.write_text(Path(sys.argv[1]), 'third')"
            subprocess.run([sys.executable, "-c", command, str(tmp_path / "a")], cwd=ROOT, check=True)
            assert (tmp_path / "a").read_text() == "third"
        assert (tmp_path / "a").read_text() == "first"
        assert names(tmp_path) == ["a"]

    def test_a_folder_whose_new_one_had_no_time_to_take_its_place_is_put_back(self, tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "one").write_text("1")
        body = "context = files.atomic_folder(path)\nnew = context.__enter__()\npath.rename(new.parent.parent / 'old')"
        killed_while_writing(tmp_path / "a", body)
        assert not (tmp_path / "a").exists()
        remove_leftovers(tmp_path, "a")
        assert names(tmp_path) == ["a"]
        assert names(tmp_path / "a") == ["one"]

    def test_what_looks_similar_stays(self, tmp_path):
        for name in (".a.tmp", ".a.backup.tmp", ".a.12345678"):
            (tmp_path / name).mkdir()
        (tmp_path / ".a.0123abcd.tmp").write_text("a file")
        remove_leftovers(tmp_path, "a")
        assert len(names(tmp_path)) == 4


def test_without_locks_it_writes_and_removes_nothing(tmp_path, monkeypatch):
    """Some network file systems have none."""
    killed_while_writing(tmp_path / "a", TestLeftovers.WRITE)

    def refuse(handle: int, operation: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(files.fcntl, "flock", refuse)
    write_text(tmp_path / "a", "whole")
    assert (tmp_path / "a").read_text() == "whole"
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("write", [atomic_file, atomic_folder])
def test_a_folder_that_cannot_be_flushed_is_no_error(tmp_path, monkeypatch, write):
    """Some file systems cannot say when a folder is on the disk; files must."""
    flush = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError("invalid argument")
        flush(handle)

    monkeypatch.setattr(files.os, "fsync", fsync)
    with write(tmp_path / "a"):
        pass
    assert names(tmp_path) == ["a"]
