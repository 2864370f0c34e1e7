"""The figures of evaluations."""

import math
from collections.abc import Mapping, Sequence

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.intervals import Estimate
from llm_icl.analysis.scores import calibration, curve
from llm_icl.config.files import file_name
from llm_icl.experiments.evaluation.reports.content import CellContent
from llm_icl.reports.charts import COUNT, REFERENCES, Axis, Point, diagonal, lines
from llm_icl.reports.document import Figure
from llm_icl.reports.values import written


def _accuracy(series: Mapping[str, Sequence[Point]], title: str, ends: bool) -> Axis:
    """From below chance, or lower where an accuracy is, or with `ends` an interval's lower end, to 1."""
    every = [point for points in series.values() for point in points]
    lowest = [point.y for point in every] + [point.low for point in every if ends and math.isfinite(point.low)]
    return Axis(title, form="%", domain=(math.floor(10 * min(0.4, *lowest)) / 10, 1))


def shown_in(cell: Cell) -> list[str]:
    """The learners that a figure shows at first: subjects and the main references; without subjects, all."""
    subjects = [*cell.models, *cell.networks]
    return [name for name in cell.learners if name in subjects or name in REFERENCES] if subjects else [*cell.learners]


def learning_curves(content: CellContent, colours: Mapping[str, str]) -> Figure:
    """Accuracy by the number of in-context examples, with 95 % intervals as bands."""
    cell = content.cell
    series = {
        score.learner: [
            _point(int(position), accuracy)
            for position, accuracy in zip(cell.positions, curve(cell.learners[score.learner].correct), strict=True)
            if accuracy.known
        ]
        for score in content.scores
    }
    last = ", ".join(f"{score.learner} {100 * score.last.value:.1f} %" for score in content.scores if score.last.known)
    says = f"Accuracy on {cell.title} by number of in-context examples; at {cell.positions[-1]}: {last or 'no answer'}."
    x = Axis("in-context examples", form=COUNT, domain=(int(cell.positions[0]), int(cell.positions[-1]) or 1))
    y = _accuracy(series, "accuracy", ends=False)
    return lines("learning-curves", "Learning curves", series, x, y, colours, says, shown=shown_in(cell))


def accuracy_by_n(contents: Sequence[CellContent], colours: Mapping[str, str], alone: bool = False) -> Figure:
    """The mean accuracy of subjects and main references against n for one task, with 95 % intervals; small, unless it
    stands alone.
    """
    shown = list(dict.fromkeys(name for content in contents for name in shown_in(content.cell)))
    series = {
        name: [
            _point(content.cell.n, score.average)
            for content in contents
            for score in content.scores
            if score.learner == name and score.average.known
        ]
        for name in shown
    }
    task, ns = contents[0].cell.task, [content.cell.n for content in contents]
    ends = ", ".join(f"{name} {points[-1].said} at n = {points[-1].x}" for name, points in series.items() if points)
    says = f"Mean accuracy on {task} at n = {', '.join(map(str, ns))}; {ends}."
    x, y = Axis("n (input bits)", "ordinal"), _accuracy(series, "mean accuracy", ends=True)
    height, width = (260, None) if alone else (200, 250)
    return lines(f"by-n-{file_name(task)}", task, series, x, y, colours, says, height=height, width=width, band=False)


def calibration_plot(cell: Cell, colours: Mapping[str, str]) -> Figure:
    """A reliability diagram: observed frequency of label 1 by predicted probability, with its interval and count."""
    with_probabilities = [name for name, answered in cell.learners.items() if answered.has_probabilities]
    series = {
        name: [
            Point(
                round(b.predicted, 3), b.observed.value,
                f"{written(b.observed, 'share')} % of {b.count:,} labels are 1", *b.observed[1:],
            )
            for b in calibration(cell.learners[name], cell.label)
        ]
        for name in with_probabilities
    }  # fmt: skip
    says = f"Observed frequency of label 1 on {cell.title} by predicted P(1), for {len(with_probabilities)} learners."
    x, y = Axis("predicted P(1)", domain=(0, 1)), Axis("observed frequency of 1", form="%", domain=(0, 1))
    return lines(
        "calibration", "Calibration", series, x, y, colours, says, shown=shown_in(cell), height=240, named=False,
        band=False, more=[diagonal()],
    )  # fmt: skip


def _point(x: int, accuracy: Estimate) -> Point:
    return Point(x, accuracy.value, f"{written(accuracy, 'share')} %", accuracy.low, accuracy.high)
