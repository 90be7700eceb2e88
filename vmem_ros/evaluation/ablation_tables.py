"""Figures of all houses as tables: means with their intervals, and differences house by house."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vmem_ros.evaluation.consistency import Consistency
from vmem_ros.evaluation.fidelity import Fidelity
from vmem_ros.evaluation.metric_values import MetricValues
from vmem_ros.evaluation.registry import PSNR, Metric
from vmem_ros.evaluation.scores import LARGELY_UNSEEN, Scores
from vmem_ros.reporting.intervals import Interval, mean_interval, paired_difference
from vmem_ros.reporting.tables import ARROWS, Better, Column, Table, Value

#: Scores of one house by method.
HouseScores = Mapping[str, Scores]

_INTERVALS = "Means with 95 % confidence intervals over houses (Student's t)."


@dataclass(frozen=True)
class Figure:
    """One number of the scores of a method in a house.

    :param heading: of its column.
    """

    heading: str
    digits: int
    better: Better
    read: Callable[[Scores], float]

    def mean(self, method: str, houses: Sequence[HouseScores]) -> Interval:
        """Return the mean over houses."""
        return mean_interval([self.read(house[method]) for house in houses])

    def difference(self, method: str, other: str, houses: Sequence[HouseScores]) -> Interval:
        """Return the mean by which a method is above another in the same house."""
        pairs = [(self.read(house[method]), self.read(house[other])) for house in houses]
        return paired_difference(*zip(*pairs, strict=True))


@dataclass(frozen=True)
class Protocol:
    """A question to a world, with a figure for every metric that applies.

    :param title: before the name of the metric, where several protocols stand side by side.
    :param read: the values that answer it.
    """

    title: str
    kind: type[MetricValues]
    read: Callable[[Scores], MetricValues]

    def figure(self, metric: Metric, *, titled: bool = True) -> Figure:
        """Return the figure of one metric."""
        heading = f"{self.title} {metric.heading}" if titled else metric.heading
        return Figure(heading, metric.digits, metric.better, lambda scores: self.read(scores)[metric.name])

    def figures(self, *, titled: bool = True) -> list[Figure]:
        """Return all figures."""
        return [self.figure(metric, titled=titled) for metric in self.kind.metrics()]


WAY_BACK = Protocol("way back", Consistency, lambda scores: scores.back)
LOOP = Protocol("loop", Consistency, lambda scores: scores.loop)
TRUTH = Protocol("truth:", Fidelity, lambda scores: scores.truth)
UNSEEN = Protocol("truth, largely unseen views:", Fidelity, lambda scores: scores.unseen)
INVENTED = (
    Figure("invented: kernel distance", 3, "lower", lambda scores: scores.invented.kernel_distance),
    Figure("invented: gradient energy", 2, "higher", lambda scores: scores.invented.gradient_energy),
)
SECONDS = Figure("s per view", 3, "lower", lambda scores: scores.seconds_per_view)


def tables(houses: Sequence[HouseScores]) -> list[Table]:
    """Return all tables; the first method is the one that the others are compared with."""
    itself = (
        f"{_INTERVALS} Way back: every view against the view that the same method drew at the same pose on the way "
        "out. Loop: the last view against the given one, at whose pose it is drawn. Copying the given view agrees with "
        "itself by definition: read it beside the next table."
    )
    truth = (
        f"{_INTERVALS} All views of the loop and of the way out and back against exact pictures of the house. "
        "Remembered PSNR: of the pixels that the method's memory shows. Unseen PSNR: of those whose surface the given "
        "view does not see in the house; nobody can know them, so little is expected there. Rotation and translation: "
        "between the pose asked for and the pose that the picture shows, by SIFT and perspective-n-point where that "
        "succeeds."
    )
    unseen = (
        f"{_INTERVALS} As before, of the largely unseen views: those with more than {LARGELY_UNSEEN:.0%} unseen pixels."
        " Invented: all pixels whose surface the given view does not see. Kernel distance: between features of what "
        "was drawn there and of the truth, 0 for pictures of one kind. Gradient energy: over that of the truth, 1 as "
        "rich in edges, 0 fog."
    )
    return [
        short_table(houses),
        means("Does it agree with itself?", [*WAY_BACK.figures(), *LOOP.figures()], houses, itself),
        means("Does it agree with the truth?", [*TRUTH.figures(titled=False), SECONDS], houses, truth),
        means(
            "Does it agree with the truth where little was seen?",
            [*UNSEEN.figures(titled=False), *INVENTED],
            houses,
            unseen,
        ),
        _differences(houses),
    ]


def headline_figures() -> list[Figure]:
    """Return the figures to quote: consistency on the way back, and PSNR against the truth."""
    return [*WAY_BACK.figures(), TRUTH.figure(PSNR), UNSEEN.figure(PSNR)]


def short_table(houses: Sequence[HouseScores]) -> Table:
    """Return the table of the figures to quote."""
    return means("In short", headline_figures(), houses, _INTERVALS)


def means(
    title: str, figures: Sequence[Figure], houses: Sequence[HouseScores], note: str, *, what: str = "method"
) -> Table:
    """Return the means of figures over houses, with their intervals, a row for each method.

    :param what: heads the column of their names.
    """
    rows: list[Mapping[str, Value]] = [
        {what: name} | {f.heading: f.mean(name, houses).text(f.digits) for f in figures} for name in houses[0]
    ]
    return Table(title, rows, note, {f.heading: Column(f.digits, f.better) for f in figures})


def _differences(houses: Sequence[HouseScores]) -> Table:
    first, *others = houses[0]
    rows: list[Mapping[str, Value]] = [
        {f"{first} minus": f"{f.heading} {ARROWS[f.better]}"}
        | {other: f.difference(first, other, houses).text(f.digits, signed=True) for other in others}
        for f in (*(f for protocol in (WAY_BACK, LOOP, TRUTH, UNSEEN) for f in protocol.figures()), *INVENTED)
    ]
    note = "Mean difference within a house, with its 95 % confidence interval over houses (Student's t on the pairs)."
    return Table("What does each part add?", rows, note)
