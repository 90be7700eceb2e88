"""What a pipeline is given of one chunk; several are drawn together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vmem_ros.geometry import Camera
from vmem_ros.types import Projection


@dataclass(frozen=True, eq=False)
class PipelineChunk:
    """References and targets of one chunk: arguments of a call of :class:`VMemPipeline`, which says what they are."""

    reference_images: Sequence[Tensor]
    reference_cameras: Sequence[Camera]
    reference_poses: Tensor | Sequence[Tensor]
    target_cameras: Sequence[Camera]
    target_poses: Tensor | Sequence[Tensor]
    projections: Sequence[Projection] | None = None
    reference_depths: Sequence[Tensor | None] | None = None
    reference_latents: Sequence[Tensor | None] | None = None
    reference_embeddings: Sequence[Tensor | None] | None = None
    generator: torch.Generator | None = None
    latents: Tensor | None = None

    @property
    def frames(self) -> int:
        """References and targets together."""
        return len(self.reference_images) + len(self.target_cameras)
