"""Parts of a pipeline (autoencoder, image encoder, network) from folders or the Hub: whole, safe, or a named error.

Weights are read from safetensors only. A parameter that a file does not have would stay random with no more than a
warning of the libraries; here it is an error.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from vmem_ros.errors import ModelError

_LISTED = 3


def load_component(
    cls: Any, source: Path | str, *, torch_dtype: torch.dtype = torch.float32, allow_download: bool = False
) -> Any:
    """Return a model of diffusers or transformers with the weights of ``source``.

    :param cls: a class with ``from_pretrained``.
    :param source: a folder with ``config.json``, or ``owner/name`` or ``owner/name/folder`` on the Hugging Face Hub.
    :param allow_download: fetch what is not yet on this machine; otherwise only folders and the Hub's cache are read.
    :raises ModelError: not there, not that class, truncated, of other shapes, or incomplete.
    """
    repository, folder = _located(source, allow_download=allow_download)
    where = f"{repository}/{folder}" if folder else repository
    try:
        with quiet_libraries():
            model, info = cls.from_pretrained(
                repository,
                subfolder=folder,
                torch_dtype=torch_dtype,
                local_files_only=not allow_download,
                use_safetensors=True,
                output_loading_info=True,
            )
    except Exception as error:  # the libraries raise half a dozen kinds
        raise ModelError(
            f"{where} cannot be loaded as {cls.__name__}: {_one_line(error)}{_how_to_get(repository, allow_download)}"
        ) from error
    missing = sorted(info["missing_keys"])
    if missing:
        listed = ", ".join(missing[:_LISTED])
        raise ModelError(
            f"{where} has no weights for {len(missing)} parameters of {cls.__name__} ({listed}): copy it again"
        )
    return model.eval().requires_grad_(False)


@contextlib.contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silence progress bars and warnings of diffusers and transformers; what goes wrong is raised by us."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    libraries = (of_diffusers, of_transformers)
    before = [(library.get_verbosity(), library.is_progress_bar_enabled()) for library in libraries]
    for library in libraries:
        library.set_verbosity(library.CRITICAL)
        library.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for library, (verbosity, with_bars) in zip(libraries, before, strict=True):
            library.set_verbosity(verbosity)
            if with_bars:
                library.enable_progress_bar()


def refuse_code(folder: Path) -> None:
    """Raise :class:`ModelError` for a folder with code in it: no model needs it, and some libraries run it."""
    if code := sorted(folder.rglob("*.py")):
        raise ModelError(
            f"{folder} holds code ({code[0].relative_to(folder)}), which is not needed and might be run: remove it if "
            "you trust the rest of the model"
        )


def _located(source: Path | str, *, allow_download: bool) -> tuple[str, str]:
    """Return (folder or repository, folder in the repository)."""
    path = Path(source).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            inside = sorted(str(found.parent) for found in path.glob("*/config.json"))
            hint = f"; did you mean {' or '.join(inside)}?" if inside else ""
            raise ModelError(
                f"{path} has no config.json, so it is no model in the format of diffusers or transformers{hint}"
            )
        return str(path), ""
    owner_name, folder = str(source).split("/")[:2], "/".join(str(source).split("/")[2:])
    if path.is_absolute() or str(source).startswith(("./", "../", "~")) or not all([*owner_name, len(owner_name) == 2]):
        raise ModelError(f"there is no folder {path}: give a folder, or owner/name of the Hugging Face Hub")
    return "/".join(owner_name), folder


def _how_to_get(repository: str, allow_download: bool) -> str:
    if Path(repository).is_dir() or allow_download:
        return ""
    return f"; if it was never downloaded, fetch it with `hf download {repository}`, or allow downloads"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
