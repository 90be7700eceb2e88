"""The generator without a network: what memory shows, with the holes inpainted.

It is the baseline of every table, the degraded mode, and what runs where nothing else can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from vmem_ros.errors import CancelledError
from vmem_ros.generation.inpainting import FLAGS, RADIUS_PX, Inpainting, inpaint
from vmem_ros.protocols import OnStep, ShouldStop, Use
from vmem_ros.types import Projection, Recall, Target, View

# Under this share of seen pixels there is nothing to continue inwards from.
_LEAST_SEEN = 0.005


@dataclass(frozen=True, kw_only=True)
class ReprojectionOptions:
    """Options of :class:`ReprojectionGenerator`.

    :param inpainting: how holes are filled.
    :param radius_px: neighbourhood of a pixel that its colour comes from.
    """

    inpainting: Inpainting = "telea"
    radius_px: float = RADIUS_PX

    def __post_init__(self) -> None:
        if self.inpainting not in FLAGS:
            raise ValueError(f"inpainting must be one of {', '.join(FLAGS)}, got {self.inpainting!r}")
        if not self.radius_px > 0:
            raise ValueError(f"radius_px must be positive, got {self.radius_px}")


class ReprojectionGenerator:
    """Memory's projection plus OpenCV's inpainting. One step a view; deterministic whatever the seed.

    :param device: taken for the sake of other engines: views lie where their projections lie.
    """

    name = "reprojection"
    uses: frozenset[Use] = frozenset({"projection"})
    frames = 4
    ignores_seeds: Literal[True] = True

    def __init__(self, options: ReprojectionOptions | None = None, *, device: torch.device | str = "cpu") -> None:
        self.options = options or ReprojectionOptions()

    def generate(
        self,
        recall: Recall,
        targets: Sequence[Target],
        *,
        prompt: str | None = None,
        seed: int | None = None,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> list[View]:
        """Return one view per target; see :class:`vmem_ros.protocols.Generator`."""
        views = []
        for step, (target, projection) in enumerate(zip(targets, recall.projections, strict=True), 1):
            if should_stop is not None and should_stop():
                raise CancelledError(f"cancelled before view {step} of {len(targets)}")
            image = self._fill(projection, recall.views)
            views.append(
                View(image, target.camera, target.T_world_camera, stamp_ns=target.stamp_ns, source="generated")
            )
            if on_step is not None:
                on_step(step, len(targets))
        return views

    def _fill(self, projection: Projection, references: Sequence[View]) -> Tensor:
        """Return the projected image [H, W, 3] uint8 with its holes filled."""
        image, seen = projection.image, projection.seen
        if float(seen.float().mean()) >= _LEAST_SEEN:
            return inpaint(image, seen, how=self.options.inpainting, radius_px=self.options.radius_px)
        means = [reference.image.float().mean(dim=(0, 1)) for reference in references]
        color = torch.stack(means).mean(dim=0) if means else torch.full((3,), 127.0)
        return torch.where(seen[..., None], image, color.round().to(image))
