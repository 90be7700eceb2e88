"""From what a message names to a place on the disk: nothing outside ``world.root`` is read or written."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from vmem_ros.errors import WorldFileError


def world_path(root: str, url: str) -> Path:
    """Return the file below ``root`` that a path or ``file://`` URL names; relative paths start at ``root``.

    :raises WorldFileError: no ``root``, another scheme or host, no name, or a place outside ``root``, links resolved.
    """
    if not root.strip():
        raise WorldFileError("world.root is empty: start the node with the folder in which worlds are kept")
    try:
        parts = urlsplit(url) if "://" in url else None
        if parts is not None and (parts.scheme != "file" or parts.netloc not in ("", "localhost")):
            raise WorldFileError(f"{url!r} cannot be used: give a path or a file:// URL on this machine")
        folder = Path(root).expanduser().resolve()
        path = (folder / (unquote(parts.path) if parts is not None else url)).resolve()
    except (ValueError, OSError, RuntimeError) as error:
        raise WorldFileError(f"{url!r} is no path: {error}") from error
    if folder not in path.parents:
        raise WorldFileError(
            f"{url!r} is not below world.root = {str(folder)!r}: use a name in it, or start the node "
            "with another world.root"
        )
    return path
