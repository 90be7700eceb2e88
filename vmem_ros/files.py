"""Files and folders that are on the disk whole or not at all, whatever ends the process in between.

New content is written into a hidden folder beside its place, flushed and renamed into it. On any error the hidden
folder goes, and what was there before stays. A link is replaced, not followed. Errors are plain ``OSError``: callers
make named ones of them.

A process that is killed leaves its hidden folder, ``.<name>.<8 hex digits>.tmp``; whoever writes that name next removes
it, and :func:`remove_leftovers` those of many names. Processes hold a lock on the folder that they write in, so that
none removes what another one still needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# In the hidden folder: a folder for what is written, and the place of a folder that is being replaced.
_NEW, _OLD = "new", "old"


@contextmanager
def atomic_file(path: Path, *, private: bool = False) -> Iterator[Path]:
    """Yield where to write a file; it takes the place of ``path`` when the block ends without an error.

    The name to write to is the same, in a hidden folder. Folders above ``path`` are made. The permissions are those of
    the file that it replaces, otherwise those of any new file.

    :param private: a new file is for its owner alone.
    :raises OSError: it cannot be written, for the disk is full, say; what was there is unchanged.
    """
    with _hidden_folder(path) as beside:
        new = beside / _NEW / path.name
        new.touch()
        # Noted before the caller writes: some libraries make files that only their owner can read.
        mode = path.stat().st_mode & 0o777 if path.is_file() else new.stat().st_mode & (0o600 if private else 0o777)
        yield new
        new.chmod(mode)
        _flush(new)
        os.replace(new, path)
        _flush_folder(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill; it takes the place of ``path`` when the block ends without an error.

    Folders above ``path`` are made. The permissions are those of the folder that it replaces, otherwise those of any
    new folder; who may enter it may read its files. A process that is killed between the two renames of a replacement
    leaves the old folder in the hidden one, and whoever writes the same name next puts it back first.

    :raises OSError: it cannot be written, or ``path`` is a file; what was there is unchanged.
    """
    if path.is_file():
        raise NotADirectoryError(f"{path} is a file, and is not replaced by a folder")
    with _hidden_folder(path) as beside:
        new, old = beside / _NEW / path.name, beside / _OLD
        new.mkdir()
        if path.is_dir():
            new.chmod(path.stat().st_mode & 0o777)
        yield new
        for entry in new.rglob("*"):
            if entry.is_file():
                entry.chmod(new.stat().st_mode & 0o666)
                _flush(entry)
            else:
                _flush_folder(entry)
        _flush_folder(new)
        try:
            if os.path.lexists(path):
                path.rename(old)
            new.rename(path)
        finally:
            _put_back(old, path)
        _flush_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8; see :func:`atomic_file`."""
    with atomic_file(path) as new:
        new.write_text(text, encoding="utf-8")


def remove_leftovers(folder: Path, pattern: str) -> None:
    """Remove what killed processes have left while they wrote into a folder.

    :param pattern: of the names that they were writing, as :mod:`glob` has them.
    """
    for beside in folder.glob(f".{pattern}.{'[0-9a-f]' * 8}.tmp"):
        with contextlib.suppress(OSError):  # another process writes in it, or has removed it
            handle = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not {entry.name for entry in beside.iterdir()} <= {_NEW, _OLD}:
                    continue  # somebody else's, by its content
                _put_back(beside / _OLD, folder / beside.name[1:].rsplit(".", 2)[0])
                shutil.rmtree(beside)
            finally:
                os.close(handle)


@contextmanager
def _hidden_folder(path: Path) -> Iterator[Path]:
    """Yield a new hidden folder beside ``path``, and remove it with all that is still in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent, glob.escape(path.name))
    beside, handle = _locked_folder(path)
    try:
        (beside / _NEW).mkdir()
        yield beside
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        os.close(handle)


def _locked_folder(path: Path) -> tuple[Path, int]:
    """Return a new hidden folder beside ``path``, and the handle that holds its lock."""
    while True:
        beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
        beside.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            handle = os.open(beside, os.O_RDONLY | os.O_DIRECTORY)
            with contextlib.suppress(OSError):  # a file system without locks: leftovers are not removed there either
                fcntl.flock(handle, fcntl.LOCK_EX)
            if beside.exists():
                return beside, handle
            # Another process took it for a leftover before it was locked.
            os.close(handle)


def _put_back(old: Path, path: Path) -> None:
    if os.path.lexists(old) and not os.path.lexists(path):
        old.rename(path)


def _flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk, on file systems that can do so."""
    with contextlib.suppress(OSError):
        _flush(path)
