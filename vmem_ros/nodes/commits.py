"""What one undo takes back: the views of one request, or one observed view. Belongs to the worker's thread."""

from __future__ import annotations


class CommitLog:
    """Sizes of the last commits."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._open: object | None = None

    def add(self, owner: object, views: int = 1) -> None:
        """Note that views were stored; consecutive ones of one owner make one commit."""
        if views == 0:
            return
        if self._sizes and owner is self._open:
            self._sizes[-1] += views
        else:
            self._sizes.append(views)
        self._open = owner

    @property
    def last(self) -> int:
        """Views of the last commit; 1 where it is not known, as after loading a world."""
        return self._sizes[-1] if self._sizes else 1

    def pop(self) -> None:
        """Drop the last commit."""
        if self._sizes:
            self._sizes.pop()
        self._open = None

    def clear(self) -> None:
        """Start anew."""
        self._sizes.clear()
        self._open = None
