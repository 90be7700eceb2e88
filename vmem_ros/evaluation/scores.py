"""The figures of one method in one house."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from torch import Tensor

from vmem_ros.evaluation.benchmark_paths import EvaluationPath, PathName
from vmem_ros.evaluation.consistency import Consistency, along_the_way_back, consistency
from vmem_ros.evaluation.fidelity import Fidelity, against_truth
from vmem_ros.evaluation.realism import Realism, realism
from vmem_ros.evaluation.registry import PSNR
from vmem_ros.types import View

#: A view is largely unseen if the given view does not see more than this share of its pixels.
LARGELY_UNSEEN = 0.5


@dataclass(frozen=True, eq=False)
class Answer:
    """What a method answered at a pose.

    :param confidence: [H, W] float32: 0 invented ... 1 remembered. ``None``: the method remembers nothing.
    """

    view: View
    confidence: Tensor | None


@dataclass(frozen=True)
class Scores:
    """What one method answered in one house, in figures; means over views.

    :param loop: last view of the loop against the given view, at whose pose it was drawn.
    :param back: every view of the way back against its twin of the way out.
    :param truth: every view of both paths against the truth.
    :param unseen: the same, of the views that are largely unseen (:data:`LARGELY_UNSEEN`).
    :param invented: pixels that the given view does not see, of both paths, beside true ones.
    :param seconds_per_view: reading, drawing, finding geometry and writing.
    :param truth_db: PSNR against the truth along the way out and back, one per pose.
    :param back_db: PSNR against the twin along the way back, one per pose; its first pose is the last of the way out.
    """

    loop: Consistency
    back: Consistency
    truth: Fidelity
    unseen: Fidelity
    invented: Realism
    seconds_per_view: float
    truth_db: tuple[float, ...]
    back_db: tuple[float, ...]

    def record(self) -> dict[str, object]:
        """Return the figures by name, for JSON."""
        return asdict(self)


def score(
    paths: Sequence[EvaluationPath], answers: Mapping[PathName, Sequence[Answer]], *, seconds_per_view: float
) -> Scores:
    """Return the figures of what was answered.

    :param answers: per path, in the order of its poses.
    """
    truth: dict[PathName, list[Fidelity]] = {}
    unseen: list[Fidelity] = []
    for path in paths:
        truth[path.name] = [
            against_truth(answer.view, true, confidence=answer.confidence, unseen=hidden)
            for answer, true, hidden in zip(answers[path.name], path.truths, path.unseen, strict=True)
        ]
        unseen += [
            found
            for found, hidden in zip(truth[path.name], path.unseen, strict=True)
            if float(hidden.float().mean()) > LARGELY_UNSEEN
        ]
    [loop] = [path for path in paths if path.name == "loop"]
    twins = along_the_way_back([answer.view for answer in answers["out and back"]])
    return Scores(
        loop=consistency(answers["loop"][-1].view, loop.start),
        back=Consistency.mean(twins),
        truth=Fidelity.mean([found for of_path in truth.values() for found in of_path]),
        unseen=Fidelity.mean(unseen),
        invented=realism(
            [answer.view.image for path in paths for answer in answers[path.name]],
            [true.image for path in paths for true in path.truths],
            [hidden for path in paths for hidden in path.unseen],
        ),
        seconds_per_view=seconds_per_view,
        truth_db=tuple(found[PSNR.name] for found in truth["out and back"]),
        back_db=tuple(twin[PSNR.name] for twin in twins),
    )
