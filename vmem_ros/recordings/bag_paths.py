"""Where the files of a ROS 2 bag are."""

from __future__ import annotations

from pathlib import Path

from vmem_ros.errors import RecordingError

_METADATA = "metadata.yaml"
_STORAGES = (".mcap", ".db3")


def is_bag(path: Path) -> bool:
    """Return whether a path looks like one: a storage file, or a folder with such files."""
    return path.suffix in _STORAGES or (path / _METADATA).is_file() or bool(_storages(path))


def storage_of(path: Path) -> Path:
    """Return what to open. A recorder that was killed leaves one file without metadata.

    :raises RecordingError: no file, or several whose order is not known.
    """
    if not path.is_dir() or (path / _METADATA).is_file():
        return path
    files = _storages(path)
    if len(files) != 1:
        raise RecordingError(f"{path} has no {_METADATA} and {len(files)} files of a bag: try `ros2 bag reindex`")
    return files[0]


def _storages(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*") if file.suffix in _STORAGES) if folder.is_dir() else []
