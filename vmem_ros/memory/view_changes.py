"""Pixels that edits took from stored views, and what they were: so that undoing brings them back bit by bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vmem_ros.errors import WorldFileError
from vmem_ros.geometry.hole_filling import fill_picture
from vmem_ros.memory import view_storage
from vmem_ros.types import MAX_DEPTH_M, View

_PIXELS = {"pixel": torch.int64, "image": torch.uint8, "depth": torch.float32, "confidence": torch.float32}
_ENCODINGS = ("latent", "embedding")


@dataclass(frozen=True, eq=False)
class ViewChange:
    """What an edit took from one view.

    :param view: its number.
    :param pixel: [p] int64, ascending, numbered row by row.
    :param image: [p, 3] uint8, with ``depth`` and ``confidence`` [p] float32: what they were.
    :param latent: of the view before, with ``embedding``: encodings of another picture.
    """

    view: int
    pixel: Tensor
    image: Tensor
    depth: Tensor
    confidence: Tensor
    latent: Tensor | None
    embedding: Tensor | None

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors."""
        return sum(each.nbytes for each in vars(self).values() if isinstance(each, Tensor))


def without_pixels(number: int, view: View, gone: Tensor) -> tuple[View, ViewChange]:
    """Return a view without some of its pixels ``gone`` [H, W] bool, and what is needed to bring them back.

    They have no depth and no camera saw them. Their colours are those around, for whoever looks at the whole picture.
    """
    old_depth, old_confidence = depth_and_confidence(view)
    pixel = gone.flatten().nonzero().squeeze(1)
    change = ViewChange(
        number,
        pixel,
        view.image.view(-1, 3).index_select(0, pixel),
        old_depth.flatten().index_select(0, pixel),
        old_confidence.flatten().index_select(0, pixel),
        view.latent,
        view.embedding,
    )
    changed = view.having(
        image=filled(view.image, gone),
        depth=torch.where(gone, torch.nan, old_depth),
        confidence=torch.where(gone, 0.0, old_confidence),
        latent=None,
        embedding=None,
    )
    return changed, change


def depth_and_confidence(view: View) -> tuple[Tensor, Tensor]:
    """Return both of a stored view: the memory keeps them of every one."""
    assert view.depth is not None
    assert view.confidence is not None
    return view.depth, view.confidence


def filled(image: Tensor, gone: Tensor) -> Tensor:
    """Return an image [H, W, 3] uint8 whose pixels ``gone`` [H, W] bool have smooth colours of those around."""
    smooth = fill_picture(image.float(), ~gone)
    return torch.where(gone[..., None], smooth.round().clamp(0, 255).to(torch.uint8), image)


def with_pixels(view: View, change: ViewChange) -> View:
    """Return the view as it was before :func:`without_pixels`."""
    image, depth, confidence = (each.clone() for each in (view.image, *depth_and_confidence(view)))
    image.view(-1, 3)[change.pixel] = change.image
    depth.view(-1)[change.pixel] = change.depth
    confidence.view(-1)[change.pixel] = change.confidence
    return view.having(
        image=image, depth=depth, confidence=confidence, latent=change.latent, embedding=change.embedding
    )


class ViewChanges:
    """The changes of each edit, in their order."""

    def __init__(self, edits: Sequence[Sequence[ViewChange]] = ()) -> None:
        self._edits = [tuple(each) for each in edits]
        self._count()

    def __len__(self) -> int:
        """Return the number of edits."""
        return len(self._edits)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._nbytes

    def of(self, edit: int) -> tuple[ViewChange, ...]:
        """Return the changes of one edit."""
        return self._edits[edit]

    def touched(self, view: int) -> bool:
        """Return whether an edit took pixels from a view."""
        return view in self._touched

    def append(self, changes: Sequence[ViewChange]) -> None:
        """Append an edit."""
        self._edits.append(tuple(changes))
        self._count()

    def pop(self) -> None:
        """Forget the last edit."""
        del self._edits[-1]
        self._count()

    def kept(self, views: Tensor) -> ViewChanges:
        """Return the changes of the views numbered ``views`` [k] int64, ascending, by their new numbers."""
        number = {old: new for new, old in enumerate(views.tolist())}
        return ViewChanges(
            [[replace(c, view=number[c.view]) for c in edit if c.view in number] for edit in self._edits]
        )

    def _count(self) -> None:
        self._nbytes = sum(change.nbytes for edit in self._edits for change in edit)
        self._touched = {change.view for edit in self._edits for change in edit}

    # Saving

    def state(self) -> dict[str, Tensor]:
        """Return everything as named tensors: all changes one after the other, each of one view by one edit."""
        every = [(number, change) for number, edit in enumerate(self._edits) for change in edit]
        counts = torch.tensor([len(change.pixel) for _, change in every], dtype=torch.int64)
        out = {
            "changes_of_views/edit": torch.tensor([number for number, _ in every], dtype=torch.int64),
            "changes_of_views/view": torch.tensor([change.view for _, change in every], dtype=torch.int64),
            "changes_of_views/offset": torch.nn.functional.pad(counts.cumsum(0), (1, 0)),
        }
        for name, dtype in _PIXELS.items():
            nothing = torch.empty((0, 3) if name == "image" else (0,), dtype=dtype)
            out[f"changes_of_views/{name}"] = torch.cat([nothing, *(getattr(c, name).cpu() for _, c in every)])
        for place, (_, change) in enumerate(every):
            for name in _ENCODINGS:
                if (value := getattr(change, name)) is not None:
                    out[f"changes_of_views/{place}/{name}"] = value
        return out

    @classmethod
    def restored(cls, tensors: Mapping[str, Tensor], views: Sequence[View], edits: Sequence[int]) -> ViewChanges:
        """Return what :meth:`state` returned; files from before there were edits have none.

        :param edits: how many of the ``views`` there were at each edit.
        :raises WorldFileError: missing or inconsistent entries.
        """
        mine = cls().state()
        if not mine.keys() & tensors.keys() and not edits:
            return cls()
        taken = {name: view_storage.take(tensors, name, like=mine[name]) for name in mine}
        edit, view, offset, pixel, image, depth, confidence = taken.values()
        problems = (
            len(edit) != len(view)
            or len(offset) != len(view) + 1
            or int(offset[0]) != 0
            or int(offset[-1]) != len(pixel)
            or bool((offset.diff() <= 0).any())
            or any(len(column) != len(pixel) for column in (image, depth, confidence))
            or bool(((edit < 0) | (edit >= len(edits)) | (edit.diff(prepend=edit[:1]) < 0)).any())
            or bool(((view < 0) | (view >= torch.tensor([*edits, 0])[edit.clamp(0, len(edits))])).any())
            or not bool(((confidence >= 0) & (confidence <= 1)).all())
            or not bool((depth.isnan() | torch.isposinf(depth) | ((depth > 0) & (depth <= MAX_DEPTH_M))).all())
            or bool((pixel < 0).any())
        )
        out: list[list[ViewChange]] = [[] for _ in edits]
        for place, (which, number) in enumerate(zip(edit.tolist(), view.tolist(), strict=True) if not problems else ()):
            part = slice(int(offset[place]), int(offset[place + 1]))
            device, size = views[number].image.device, views[number].camera.size
            ascending = bool((pixel[part].diff() > 0).all()) and int(pixel[part][-1]) < size[0] * size[1]
            if problems := problems or not ascending or any(number == other.view for other in out[which]):
                break
            latent, embedding = (tensors.get(f"changes_of_views/{place}/{name}") for name in _ENCODINGS)
            out[which].append(
                ViewChange(
                    number,
                    pixel[part].to(device),
                    image[part].to(device),
                    depth[part].to(device),
                    confidence[part].to(device),
                    latent=None if latent is None else latent.to(device),
                    embedding=None if embedding is None else embedding.to(device),
                )
            )
        if problems:
            raise WorldFileError("the world file is inconsistent: what its edits changed does not fit its views")
        return cls(out)
