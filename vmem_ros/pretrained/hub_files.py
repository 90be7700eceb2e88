"""Files of a model of the Hub on this machine: where they are, what is to come of them, fetched and checked."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from vmem_ros.errors import ModelError
from vmem_ros.pretrained.hub_models import RemoteFile, RemoteModel, in_words

_BLOCK = 1 << 20


def bytes_to_come(model: RemoteModel, to: Path | None = None) -> int:
    """Return how many bytes of a model are not on this machine yet.

    :param to: the folder that it is to be in; ``None``: the cache of the Hub.
    """
    to_come = 0
    for file in model.files:
        place = place_of(model, file, to)
        if not place.is_file():
            part = _part(place)
            to_come += file.size - (part.stat().st_size if part.is_file() else 0)
    return max(0, to_come)


def free_space(model: RemoteModel, to: Path | None = None) -> int:
    """Return the free bytes on the disk where a model is to be."""
    return shutil.disk_usage(_existing(model, to)).free


def check_space(models: Sequence[RemoteModel], places: Sequence[Path | None]) -> None:
    """Raise :class:`ModelError` unless there is room for what is to come of models, all in all.

    :param places: as ``to`` of :func:`bytes_to_come`, all on one disk.
    """
    needed = sum(bytes_to_come(model, to) for model, to in zip(models, places, strict=True))
    free = free_space(models[0], places[0])
    if needed > free:
        raise ModelError(
            f"{', '.join(model.repository for model in models)}: {in_words(needed)} are to come, but "
            f"{_existing(models[0], places[0])} has room for {in_words(free)}: make room, or name another place with "
            "--to FOLDER, or HF_HOME=FOLDER"
        )


def _cache(model: RemoteModel) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=model.repository, repo_type="model")


def place_of(model: RemoteModel, file: RemoteFile, to: Path | None) -> Path:
    """Return where a file is to be; in the cache under its checksum."""
    return _cache(model) / "blobs" / (file.sha256 or file.blob or "unknown") if to is None else to / file.name


def _existing(model: RemoteModel, to: Path | None) -> Path:
    """Return the folder nearest to where a model is to be that exists."""
    folder = (_cache(model) if to is None else to).absolute()
    return next(parent for parent in (folder, *folder.parents) if parent.is_dir())


def _part(place: Path) -> Path:
    return place.with_name(f"{place.name}.part")


def fetch_file(model: RemoteModel, file: RemoteFile, place: Path) -> None:
    """Fetch a large file; what is there of it stays if the connection, or this process, breaks off."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    part = _part(place)
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ModelError(f"another process is fetching {file.name} of {model.repository}: wait for it") from error
        if stream.tell() > file.size:
            stream.seek(0)
            stream.truncate()
        http_get(
            hf_hub_url(model.repository, file.name, revision=model.commit),
            stream,
            resume_size=stream.tell(),
            headers=build_hf_headers(),
            expected_size=file.size,
            displayed_filename=file.name,
        )
    check_file(part, file)
    part.replace(place)


def check_file(path: Path, file: RemoteFile) -> None:
    """Raise :class:`ModelError` unless a file has its checksum; a damaged one is removed."""
    if not file.sha256 and not file.blob:
        return
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(usedforsecurity=False)
    if not file.sha256:
        digest.update(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    if digest.hexdigest() != (file.sha256 or file.blob):
        path.resolve().unlink()
        path.unlink(missing_ok=True)
        raise ModelError(f"{file.name} is damaged, its checksum is wrong; it was removed: run the same command again")
