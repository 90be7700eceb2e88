"""Figures of all houses as tables: means with their intervals, and differences house by house."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from vmem_ros.evaluation.scores import LARGELY_UNSEEN, Scores
from vmem_ros.reporting.intervals import Interval, mean_interval, paired_difference
from vmem_ros.reporting.report import Table, Value

#: Scores of one house by method.
HouseScores = Mapping[str, Scores]
Figure = Callable[[Scores], float]

#: Figures by name; of each, how it is read and how many digits it is worth.
CONSISTENCY: dict[str, tuple[Figure, int]] = {
    "way back PSNR dB": (lambda s: s.back.psnr_db, 1),
    "way back SSIM": (lambda s: s.back.ssim, 3),
    "way back match": (lambda s: s.back.match, 2),
    "loop PSNR_C dB": (lambda s: s.loop.psnr_db, 1),
    "loop SSIM_C": (lambda s: s.loop.ssim, 3),
    "loop match": (lambda s: s.loop.match, 2),
}
FIDELITY: dict[str, tuple[Figure, int]] = {
    "PSNR dB": (lambda s: s.truth.psnr_db, 1),
    "SSIM": (lambda s: s.truth.ssim, 3),
    "match": (lambda s: s.truth.match, 2),
    "largely unseen: PSNR dB": (lambda s: s.unseen.psnr_db, 1),
    "largely unseen: SSIM": (lambda s: s.unseen.ssim, 3),
    "largely unseen: match": (lambda s: s.unseen.match, 2),
    "invented pixels: PSNR dB": (lambda s: s.invented_db, 1),
}
_COMPARED = (
    "way back PSNR dB", "way back SSIM", "way back match", "loop PSNR_C dB", "PSNR dB", "largely unseen: PSNR dB",
    "invented pixels: PSNR dB",
)  # fmt: skip
_INTERVALS = "Means with 95 % confidence intervals over houses (Student's t)."


def tables(houses: Sequence[HouseScores]) -> list[Table]:
    """Return all tables; the first method is the one that the others are compared with."""
    names = list(houses[0])
    return [_itself(names, houses), _truth(names, houses), _differences(names, houses)]


def difference(houses: Sequence[HouseScores], name: str, other: str, figure: Figure) -> Interval:
    """Return by how much a method is above another."""
    return paired_difference([figure(h[name]) for h in houses], [figure(h[other]) for h in houses])


def _itself(names: Sequence[str], houses: Sequence[HouseScores]) -> Table:
    note = (
        f"{_INTERVALS} Way back: every view against the view that the same method drew at the same pose on the way "
        "out. Loop: the last view against the given one, at whose pose it is drawn. Copying the given view agrees with "
        "itself by definition: read it beside the next table."
    )
    return Table("Does it agree with itself?", [_row(name, houses, CONSISTENCY) for name in names], note)


def _truth(names: Sequence[str], houses: Sequence[HouseScores]) -> Table:
    note = (
        f"{_INTERVALS} All views of the loop and of the way out and back against exact pictures of the house. Largely "
        f"unseen: views of which a memory of the given view alone shows less than {LARGELY_UNSEEN:.0%}. Invented "
        "pixels: those that it does not show, of all views; nobody can know them, so little is expected there."
    )
    rows = [
        {**_row(name, houses, FIDELITY), "s per view": mean_interval([h[name].seconds_per_view for h in houses]).mean}
        for name in names
    ]
    return Table("Does it agree with the truth?", rows, note)


def _differences(names: Sequence[str], houses: Sequence[HouseScores]) -> Table:
    figures = {name: figure for name, figure in (CONSISTENCY | FIDELITY).items() if name in _COMPARED}
    rows: list[dict[str, Value]] = []
    for other in names[1:]:
        row: dict[str, Value] = {f"{names[0]} minus": other}
        for name, (figure, digits) in figures.items():
            row[name] = difference(houses, names[0], other, figure).text(digits, signed=True)
        rows.append(row)
    note = "Mean difference within a house, with its 95 % confidence interval over houses (Student's t on the pairs)."
    return Table("What does each part add?", rows, note)


def _row(name: str, houses: Sequence[HouseScores], figures: Mapping[str, tuple[Figure, int]]) -> dict[str, Value]:
    row: dict[str, Value] = {"method": name}
    for title, (figure, digits) in figures.items():
        row[title] = mean_interval([figure(house[name]) for house in houses]).text(digits)
    return row
