"""Models that come with the package, by name: where they are, and that they are as they were made.

Each is a folder with a manifest of the files that are read, their sizes and checksums: a file that was cut off or
altered on its way to this machine is found and named before any of it is used. That holds for copies of such a folder
too.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from vmem_ros.errors import ModelError
from vmem_ros.files import write_text

#: Names that stand for models of the package, wherever a model is named: one of each network, of one size.
SHIPPED_MODELS = ("small", "small-spatia", "small-mirage", "small-gac")
#: The depth network among them, which the estimator ``small`` uses.
DEPTH_MODEL = "depth"
#: The library of pictures of rooms, which lend details to what the small model draws.
EXEMPLARS = "exemplars"
#: What the engines ``vmem``, ``spatia``, ``mirage`` and ``gac`` draw with where nobody names a model.
DEFAULT_MODEL, SPATIA_MODEL, MIRAGE_MODEL, GAC_MODEL = "small", "small-spatia", "small-mirage", "small-gac"
#: Where they are. Links of an installation lead to the checkout it was made from.
MODELS = Path(__file__).resolve().parent.parent / "models"

_MANIFEST = "manifest.json"
_FORMAT = 1
# What is read when a model is loaded; a card and a log may be edited.
_READ = (".json", ".safetensors")
_REMEDY = "reinstall vmem_ros, or copy the folder again; the engine 'reprojection' needs no model"


def shipped_folder(name: str) -> Path:
    """Return the folder of a model that comes with the package.

    :param name: one of :data:`SHIPPED_MODELS`, :data:`DEPTH_MODEL` or :data:`EXEMPLARS`.
    :raises ModelError: it is not there.
    """
    folder = MODELS / name
    if not (folder / _MANIFEST).is_file():
        raise ModelError(f"the model {name!r} that comes with vmem_ros is not at {folder}: {_REMEDY}")
    return folder


def write_manifest(folder: Path) -> None:
    """Write down size and SHA-256 of the files of a model that are read when it is loaded.

    :raises ModelError: a file cannot be read, or the manifest cannot be written.
    """
    files = {str(path.relative_to(folder)): _entry(path) for path in _files(folder)}
    text = json.dumps({"format": _FORMAT, "files": files}, indent=2)
    try:
        write_text(folder / _MANIFEST, text + "\n")
    except OSError as error:
        raise ModelError(f"cannot write {folder / _MANIFEST}: {error}") from error


def check_manifest(folder: Path) -> None:
    """Check the files of a folder that has a manifest, bit by bit.

    :raises ModelError: a file is missing, truncated, altered or none of the model's; the message names it.
    """
    path = folder / _MANIFEST
    if not path.exists():
        return
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        known, expected = manifest["format"] == _FORMAT, dict(manifest["files"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{path} is damaged ({type(error).__name__}: {error}): {_REMEDY}") from error
    if not known:
        raise ModelError(f"{path} has format {manifest['format']!r}, this version reads {_FORMAT}: {_REMEDY}")
    found = {str(file.relative_to(folder)): file for file in _files(folder)}
    for name in sorted(expected.keys() - found.keys()):
        raise ModelError(f"{folder / name} is missing: {_REMEDY}")
    for name in sorted(found.keys() - expected.keys()):
        raise ModelError(f"{folder / name} is no part of this model: delete it, or {_REMEDY}")
    for name, file in found.items():
        entry = _entry(file)
        if entry != expected[name]:
            raise ModelError(f"{file} is truncated or altered ({entry['bytes']:,} bytes): {_REMEDY}")


def _files(folder: Path) -> list[Path]:
    """Return the files that are read when a model is loaded, the manifest apart."""
    found = (path for path in folder.rglob("*") if path.suffix in _READ and path.is_file())
    return sorted(path for path in found if path != folder / _MANIFEST)


def _entry(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(1 << 20):
                digest.update(block)
            return {"bytes": file.tell(), "sha256": digest.hexdigest()}
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error}): {_REMEDY}") from error
