"""What a metric looks at: a view, and the view from the same pose that it should be like."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from torch import Tensor

from vmem_ros.evaluation.matching import Features, detect_features, estimate_pose
from vmem_ros.evaluation.metrics import DepthErrors, PoseError, depth_errors, pose_error
from vmem_ros.types import View

#: What a pair may have besides its two images: a reference that is the ``truth`` (what a camera would have seen), a
#: ``recorded`` frame (what a real camera did see: noisy, at about this pose, with an exposure of its own) or a ``twin``
#: (what was answered at the same pose before); ``depth`` of both; ``confidence``; ``unseen``.
Part = Literal["truth", "recorded", "twin", "depth", "confidence", "unseen"]


@dataclass(frozen=True, eq=False)
class ViewPair:
    """A view and its reference.

    :param view: what is judged.
    :param reference: the view from the same pose that it should be like.
    :param against: what the reference is.
    :param confidence: [H, W] float32 of the view: 0 invented ... 1 remembered. ``None``: not told.
    :param unseen: [H, W] bool: pixels that no given view sees, see
        :func:`~vmem_ros.evaluation.visibility.unseen_pixels`. ``None``: not known.
    :param mask: [H, W] bool: pixels that are compared, by metrics that can (:attr:`Metric.masked
        <vmem_ros.evaluation.registry.Metric.masked>`). ``None``: all.
    """

    view: View
    reference: View
    against: Literal["truth", "recorded", "twin"]
    confidence: Tensor | None = None
    unseen: Tensor | None = None
    mask: Tensor | None = None

    @property
    def parts(self) -> frozenset[Part]:
        """What this pair has."""
        known: dict[Part, bool] = {
            self.against: True,
            "depth": self.view.depth is not None and self.reference.depth is not None,
            "confidence": self.confidence is not None,
            "unseen": self.unseen is not None,
        }
        return frozenset(part for part, has in known.items() if has)

    @cached_property
    def features(self) -> tuple[Features, Features]:
        """SIFT features of the view and of its reference."""
        return detect_features(self.view.image), detect_features(self.reference.image)

    @cached_property
    def depth_errors(self) -> DepthErrors:
        """Errors of the view's depth against that of the reference.

        :raises ValueError: one of them has no depth.
        """
        if self.view.depth is None or self.reference.depth is None:
            raise ValueError("errors of depth need a view and a reference with depth")
        return depth_errors(self.view.depth, self.reference.depth)

    @cached_property
    def pose_error(self) -> PoseError | None:
        """How far the pose that the view shows is from the one it was asked for; ``None`` if that cannot be told.

        :raises ValueError: the reference has no depth.
        """
        found, reference = self.features
        shown = estimate_pose(found, self.view.camera, reference, self.reference)
        return None if shown is None else pose_error(shown, self.reference.T_world_camera)
