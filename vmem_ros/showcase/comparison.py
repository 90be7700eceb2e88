"""What a world answered, beside what simpler methods would have: figures and their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from vmem_ros.evaluation.consistency import Consistency, back_and_forth, closed_loop
from vmem_ros.evaluation.fidelity import Fidelity, against_truth
from vmem_ros.evaluation.nearest_view import nearest_view
from vmem_ros.evaluation.visibility import unseen_pixels
from vmem_ros.reporting.sample import Sample
from vmem_ros.reporting.tables import Table, Value
from vmem_ros.types import View

# Poses that went through messages differ by rounding.
_SAME_POSE = 1e-6
_NEAREST = "copy the nearest view"
_MEMORY = "memory alone (holes black)"
_TRUTH_NOTE = (
    "Means over the poses of the path, which were not observed, against what a camera there sees. Remembered PSNR: of "
    "the pixels that memory showed. Unseen PSNR: of those whose surface no view of the robot sees, if that is known. "
    "Rotation and translation: between the pose asked for and the pose that the picture shows, by SIFT and "
    "perspective-n-point where that succeeds."
)
_CONSISTENCY_NOTE = (
    "Loop: the last view against the first, at the same pose (PSNR_C and SSIM_C of Spatia). Way back: every view "
    "against its twin of the way out. Copying a stored view agrees with itself by definition: read it beside the table "
    "against the truth."
)


@dataclass(frozen=True)
class Comparison:
    """Figures by method: of the engine first, of memory alone, and of copying the nearest view.

    :param fidelity: means over the poses of the path whose truth is known; empty if none is.
    :param loop: last view of the path against the first; empty if it is not closed.
    :param back: means over the views of the way back; empty if there is none.
    """

    fidelity: Mapping[str, Fidelity]
    loop: Mapping[str, Consistency]
    back: Mapping[str, Consistency]

    def tables(self) -> list[Table]:
        """Return the tables for a report: against the truth, where that is known, and consistency with itself."""
        truth: list[Mapping[str, Value]] = [{"method": name} | v.cells() for name, v in self.fidelity.items()]
        parts = [(values, label) for values, label in ((self.loop, "loop"), (self.back, "way back")) if values]
        own: list[Mapping[str, Value]] = [
            {"method": name} | {k: v for values, label in parts for k, v in values[name].cells(label).items()}
            for name in (self.loop or self.back)
        ]
        columns = Consistency.columns("loop") | Consistency.columns("way back")
        return [
            *([Table("Against the truth", truth, _TRUTH_NOTE, Fidelity.columns())] if truth else []),
            *([Table("Consistency with itself", own, _CONSISTENCY_NOTE, columns)] if own else []),
        ]


def compare(
    path: Sequence[Sample], there_and_back: Sequence[Sample], observed: Sequence[View], *, engine: str, exact: bool
) -> Comparison:
    """Return the figures of what was answered.

    :param path: where it is closed, its last pose is its first.
    :param there_and_back: along a path whose pose i equals pose n - 1 - i; may be empty.
    :param observed: the views that a real camera took.
    :param engine: name of the generator.
    :param exact: whether their depth and that of the truth is exact: then it is known what they do not see.
    """
    known = [(sample, sample.truth) for sample in path if sample.truth is not None]
    unseen = [unseen_pixels(truth, observed) if exact else None for _, truth in known]
    fidelity = {
        name: Fidelity.mean(
            [
                against_truth(view, truth, confidence=sample.confidence if name == engine else None, unseen=hidden)
                for view, (sample, truth), hidden in zip(views, known, unseen, strict=True)
            ]
        )
        for name, views in _answers([sample for sample, _ in known], observed, engine=engine).items()
    }
    first, last = (path[i].view.T_world_camera for i in (0, -1))
    loop = _answers(path, observed, engine=engine) if torch.allclose(first, last, rtol=0, atol=_SAME_POSE) else {}
    returns = _answers(there_and_back, observed, engine=engine) if there_and_back else {}
    return Comparison(
        fidelity=fidelity if known else {},
        loop={name: closed_loop(views) for name, views in loop.items()},
        back={name: back_and_forth(views) for name, views in returns.items()},
    )


def _answers(samples: Sequence[Sample], observed: Sequence[View], *, engine: str) -> dict[str, list[View]]:
    """Return what each method answers at the pose of each sample."""
    return {
        engine: [sample.view for sample in samples],
        _MEMORY: [sample.preview for sample in samples],
        _NEAREST: [nearest_view(sample.view.target, observed) for sample in samples],
    }
