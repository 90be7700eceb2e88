"""The tables of a report: what the world answered, beside what simpler methods would have."""

from __future__ import annotations

from collections.abc import Sequence

from vmem_ros.evaluation.consistency import against_truth, back_and_forth, closed_loop, mean, nearest_view
from vmem_ros.reporting.report import Table, Value
from vmem_ros.reporting.sample import Sample
from vmem_ros.types import View

_NEAREST = "copy the nearest view"
_MEMORY = "memory alone (holes black)"


def fidelity_table(shots: Sequence[Sample], observed: Sequence[View], *, engine: str) -> Table:
    """Return the mean figures against the truth, of the world, of memory alone and of copying the nearest view.

    :param shots: with truth; those without are left out.
    :param observed: the views that a real camera took.
    :param engine: name of the generator.
    """
    known = [(shot, shot.truth) for shot in shots if shot.truth is not None]
    rows: list[dict[str, Value]] = []
    for name, answers in _answers([shot for shot, _ in known], observed, engine=engine).items():
        figures = mean(
            [
                against_truth(view, truth, shot.confidence if name == engine else None)
                for view, (shot, truth) in zip(answers, known, strict=True)
            ]
        )
        rows.append(
            {
                "method": name,
                "PSNR dB": figures.psnr_db,
                "PSNR dB where remembered": figures.psnr_remembered_db,
                "SSIM": figures.ssim,
                "match accuracy": figures.match,
                "depth AbsRel": figures.depth_abs_rel,
                "depth median m": figures.depth_median_m,
                "rotation deg": figures.rotation_deg,
                "translation m": figures.translation_m,
            }
        )
    note = (
        f"Means over {len(known)} poses that no camera visited, against exact pictures of the house. Rotation and "
        "translation: between the pose asked for and the pose that the picture shows, by SIFT and perspective-n-point "
        "where that succeeds."
    )
    return Table("Against the truth", rows, note)


def consistency_table(
    loop: Sequence[Sample], there_and_back: Sequence[Sample], observed: Sequence[View], *, engine: str
) -> Table:
    """Return how well the answers agree with themselves: closed loop, and back and forth.

    :param loop: along a path whose last pose is its first.
    :param there_and_back: along a path whose pose i equals pose n - 1 - i; may be empty.
    """
    rows: list[dict[str, Value]] = []
    returns = _answers(there_and_back, observed, engine=engine)
    for name, answers in _answers(loop, observed, engine=engine).items():
        closed = closed_loop([view.image for view in answers])
        row: dict[str, Value] = {
            "method": name,
            "loop PSNR_C dB": closed.psnr_db,
            "loop SSIM_C": closed.ssim,
            "loop match": closed.match,
        }
        if there_and_back:
            twins = back_and_forth([view.image for view in returns[name]])
            row |= {"return PSNR dB": twins.psnr_db, "return SSIM": twins.ssim, "return match": twins.match}
        rows.append(row)
    note = f"Loop: last view of {len(loop)} against the first, at the same pose. "
    if there_and_back:
        note += f"Return: each of {len(there_and_back) // 2} views of the way back against its outward twin. "
    note += "Copying a stored view agrees with itself by definition: read it beside the table against the truth."
    return Table("Consistency with itself", rows, note)


def _answers(shots: Sequence[Sample], observed: Sequence[View], *, engine: str) -> dict[str, list[View]]:
    """Return what each method answers at each shot's pose."""
    return {
        engine: [shot.view for shot in shots],
        _MEMORY: [shot.preview for shot in shots],
        _NEAREST: [nearest_view(shot.view.target, observed) for shot in shots],
    }
