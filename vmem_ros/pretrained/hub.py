"""Models of the Hugging Face Hub, brought onto this machine: size known before, taken up again, checked by checksum."""

from __future__ import annotations

import fnmatch
import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from vmem_ros.errors import ModelError
from vmem_ros.pretrained.hub_files import check_file, check_space, fetch_file, place_of
from vmem_ros.pretrained.hub_models import RemoteFile, RemoteModel

_CHECKSUM = re.compile("[0-9a-f]*")
_log = logging.getLogger(__name__)

# Of the parts of a pipeline: no pickles, no code.
_SUFFIXES = (".json", ".safetensors", ".txt", ".model", ".jinja")
_INDEX = "model_index.json"


def look_up(repository: str, patterns: Sequence[str] | None = None, *, elsewhere: str) -> RemoteModel:
    """Ask the Hub what a repository holds.

    :param repository: ``owner/name``.
    :param patterns: of the names of files that are needed; ``None``: those that the pipeline in it is made of.
    :param elsewhere: what to do on a machine with a network, for the message where there is none.
    :raises ModelError: there is no such repository, the Hub cannot be reached, or nothing in it fits.
    """
    from huggingface_hub import HfApi, hf_hub_download

    with _named(repository, elsewhere):
        info = HfApi().model_info(repository, files_metadata=True)
        if patterns is None and any(sibling.rfilename == _INDEX for sibling in info.siblings or ()):
            patterns = _of_pipeline(Path(hf_hub_download(repository, _INDEX)))
    if patterns is None:
        raise ModelError(f"{repository} holds no pipeline of diffusers: it has no {_INDEX}")
    files = [_remote(s) for s in info.siblings or () if any(fnmatch.fnmatchcase(s.rfilename, p) for p in patterns)]
    names = {file.name for file in files}
    files = [file for file in files if not _is_variant(file.name, names)]
    if not files:
        raise ModelError(f"{repository} has none of the files {', '.join(patterns)}")
    return RemoteModel(repository, info.sha or "main", _licence(info), tuple(sorted(files)))


def download(model: RemoteModel, to: Path | None = None, *, elsewhere: str) -> Path:
    """Bring a model here with progress bars, and return its folder. What is complete is not fetched again.

    Files that are broken off go on where they stopped, in a later call too. Every file is compared with its checksum.

    :param to: folder for its files; ``None``: the cache of the Hub, where everybody finds it by its name.
    :param elsewhere: see :func:`look_up`.
    :raises ModelError: the Hub cannot be reached, nothing can be written, or a file is damaged; it is removed then.
    """
    from huggingface_hub import snapshot_download

    with _named(model.repository, elsewhere):
        for file in model.files:
            if file.sha256 and not (place := place_of(model, file, to)).is_file():
                fetch_file(model, file, place)
        names = [file.name for file in model.files]
        folder = Path(snapshot_download(model.repository, allow_patterns=names, local_dir=to))
    for file in model.files:
        check_file(folder / file.name, file)
    return folder


def bring(repository: str, patterns: Sequence[str] | None = None, *, marker: str = _INDEX, elsewhere: str) -> Path:
    """Return the folder of a repository in the cache, brought up to date; as it is where the Hub cannot be asked.

    Arguments and errors as of :func:`look_up`, :func:`check_space`, :func:`download` and :func:`cached_folder`.
    """
    folder = cached_folder(repository, marker)
    try:
        model = look_up(repository, patterns, elsewhere=elsewhere)
    except ModelError as error:
        if folder is None:
            raise
        _log.warning("%s is used as it is on this machine: %s", repository, error)
        return folder
    check_space([model], [None])
    return download(model, elsewhere=elsewhere)


def cached_folder(repository: str, marker: str = _INDEX) -> Path | None:
    """Return the folder of a repository in the cache of the Hub, if it was ever fetched; nobody is asked.

    :param marker: a file that it has.
    :raises ModelError: it is no ``owner/name``.
    """
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(repository, marker)
    except ValueError as error:
        raise ModelError(f"there is no folder {repository}, and no model of that name: {error}") from error
    return Path(found).parent if isinstance(found, str) else None


def _of_pipeline(index: Path) -> list[str]:
    """Return patterns of the files that a pipeline is made of: those in the folders that it names."""
    try:
        listed = json.loads(index.read_text(encoding="utf-8"))
        parts = [name for name, value in listed.items() if isinstance(value, list) and value and value[0]]
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{index} cannot be read: {error}") from error
    return [_INDEX, *(f"{part}/*{suffix}" for part in parts for suffix in _SUFFIXES)]


def _is_variant(name: str, names: set[str]) -> bool:
    """Return whether weights are there in another type of numbers, too: ``model.fp16.safetensors``."""
    stem, dot, suffix = name.rpartition(".")
    plain, _, variant = stem.rpartition(".")
    if suffix == "json" and stem.endswith(".index"):
        return False
    return bool(dot and plain and variant in ("fp16", "bf16", "non_ema")) and f"{plain}.{suffix}" in names


def _remote(sibling: Any) -> RemoteFile:
    sha256 = sibling.lfs["sha256"] if sibling.lfs else ""
    name = PurePosixPath(sibling.rfilename)
    if name.is_absolute() or ".." in name.parts or not _CHECKSUM.fullmatch(sha256 + (sibling.blob_id or "")):
        # Both become paths on this machine, and HF_ENDPOINT may be anybody.
        raise ModelError(
            f"the Hub names a file {sibling.rfilename!r} with checksum {sha256!r}, which is none: not fetched"
        )
    return RemoteFile(sibling.rfilename, sibling.size or 0, sha256, sibling.blob_id or "")


def _licence(info: Any) -> str:
    card = info.card_data
    named = (card.get("license") if card else None) or ""
    if isinstance(named, list):
        named = named[0] if named else ""
    return str((card.get("license_name") if card else None) or named) if named == "other" else str(named)


@contextmanager
def _named(repository: str, elsewhere: str) -> Iterator[None]:
    """Give the errors of the library a name."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError

    try:
        yield
    except ModelError:
        raise
    except HFValidationError as error:
        raise ModelError(f"there is no folder {repository}, and it is no owner/name of the Hugging Face Hub") from error
    except GatedRepoError as error:
        raise ModelError(
            f"{repository} is handed out on request only: ask for it on its page, then `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(f"there is no model {repository} at {constants.ENDPOINT}, or it is private") from error
    except Exception as error:  # the library raises half a dozen kinds, and those of what it builds on
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"{repository} cannot be fetched from {constants.ENDPOINT} ({reason}). What has come stays, and the same "
            f"command goes on from there. Without a network: {elsewhere}. Behind a mirror or proxy: "
            "HF_ENDPOINT=https://..., HTTPS_PROXY=... With models in another place: HF_HOME=FOLDER"
        ) from error
