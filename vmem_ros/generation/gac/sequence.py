"""The order of things: I_0, <Geometry>, G_0, <Image>, I_1, <Geometry>, G_1, ..., and who may look at whom.

An image is a picture or its depth, both of as many tokens. What is drawn is there twice in training: under noise, which
nothing after it sees, and then clean, for all that follow, as it comes to be in the context when it has been drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vmem_ros.errors import ModelError

#: A word announces what comes next.
Word = Literal["<Geometry>", "<Image>"]
WORDS: tuple[Word, ...] = ("<Geometry>", "<Image>")
#: ``causal``: each token sees those before it; ``full``: all of an image see each other; ``noise``: so do these, and
#: nothing later sees them.
Mode = Literal["causal", "full", "noise"]


@dataclass(frozen=True)
class Part:
    """One word, or one image.

    :param view: number of the view that an image belongs to.
    :param geometry: the image is the depth of the view.
    :param drawn: the image is to be drawn: it has a loss. Others are given.
    :param word: the word; ``None``: an image.
    """

    view: int = 0
    geometry: bool = False
    drawn: bool = False
    word: Word | None = None

    def __str__(self) -> str:
        return self.word or f"{'G' if self.geometry else 'I'}{self.view}{'*' if self.drawn else ''}"


@dataclass(frozen=True)
class Split:
    """Tokens that follow one another in a sequence.

    :param part: what they are, if it matters.
    """

    mode: Mode
    length: int
    part: Part = Part()


def interleave(views: int, context: int, keep: Sequence[bool]) -> list[Part]:
    """Return the sequence of views, of which the first ``context`` are given.

    :param keep: whether the geometry of each view is in the sequence, or falls out together with its word; with or
        without the last view, whose geometry is left out in the latter case. Geometry that is there is drawn, of given
        views too.
    :raises ModelError: numbers that do not fit.
    """
    keep = [*keep, False][: max(views, len(keep))]
    if not 1 <= context <= views or len(keep) != views:
        raise ModelError(
            f"a sequence of {views} views needs 1 to {views} of context, got {context}, and {views} or {views - 1} "
            f"flags of geometry, got {len(keep)}"
        )
    parts = []
    for view in range(views):
        if view:
            parts.append(Part(word="<Image>"))
        parts.append(Part(view, drawn=view >= context))
        if keep[view]:
            parts += [Part(word="<Geometry>"), Part(view, geometry=True, drawn=True)]
    return parts


def splits_of(parts: Sequence[Part], tokens: int) -> list[Split]:
    """Return a sequence as it is trained on: what is drawn under noise, and then clean if anything follows.

    :param tokens: of an image.
    """
    splits = []
    for index, part in enumerate(parts):
        if part.word:
            splits.append(Split("causal", 1, part))
            continue
        if part.drawn:
            splits.append(Split("noise", tokens, part))
        if not part.drawn or index < len(parts) - 1:
            splits.append(Split("full", tokens, part))
    return splits


def attention_mask(splits: Sequence[Split]) -> Tensor:
    """Return [N, N] bool: whether a token (row) may look at another (column)."""
    number = torch.repeat_interleave(torch.tensor([split.length for split in splits]))
    noise = torch.tensor([split.mode == "noise" for split in splits])[number]
    causal = torch.tensor([split.mode == "causal" for split in splits])[number]
    index = torch.arange(len(number))
    same = number[:, None] == number
    within = same & (~causal[:, None] | (index[:, None] >= index))
    return within | ((number[:, None] > number) & ~noise)


def positions_of(splits: Sequence[Split]) -> Tensor:
    """Return rotary positions [N] int64: one for each token of text, one for all of an image.

    The clean copy of what is drawn has the position of its noise.
    """
    found, position = [], 0
    for split in splits:
        steps = torch.arange(split.length) if split.mode == "causal" else torch.zeros(split.length, dtype=torch.int64)
        found.append(position + steps)
        position += {"causal": split.length, "full": 1, "noise": 0}[split.mode]
    return torch.cat(found)
