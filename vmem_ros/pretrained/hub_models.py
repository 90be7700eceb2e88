"""What is known of a model on the Hugging Face Hub before it is fetched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class RemoteFile(NamedTuple):
    """A file of a repository: its size in bytes, and its checksum: SHA-256 if it is large, that of a git blob if not.

    Size and checksum are 0 and empty where the Hub does not say them.
    """

    name: str
    size: int
    sha256: str
    blob: str


@dataclass(frozen=True)
class RemoteModel:
    """What of a repository is needed.

    :param licence: as its card names it; empty: it does not.
    """

    repository: str
    commit: str
    licence: str
    files: tuple[RemoteFile, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def page(self) -> str:
        """Where people read about it."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{self.repository}"


def in_words(size: float) -> str:
    """Return a number of bytes for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
