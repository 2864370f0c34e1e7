"""The overview: the gap of each model to the best possible, in each cell."""

from collections.abc import Mapping
from dataclasses import replace

from llm_icl.analysis.intervals import NOTHING, Estimate
from llm_icl.analysis.scores import difference
from llm_icl.experiments.evaluation.reports.content import CellContent, Content
from llm_icl.learners.ceilings import ceiling_of
from llm_icl.reports.charts import keys_of
from llm_icl.reports.document import Column, Matrix, Row, Table


def overview(content: Content, anchors: tuple[str, ...], colours: Mapping[str, str]) -> Matrix:
    """A row for each cell, a column for each model and network, or without them for each learner."""
    names = content.subjects or [name for name in dict.fromkeys(content.names) if not name.startswith("bayes")]
    columns = [Column("task", "task", short=True), Column("n", "n", "count", short=True)]
    columns += [Column(name, f"gap, {name}", "points", short=True) for name in names]
    rows: list[Row] = [
        {"task": cell.cell.task, "n": cell.cell.n, **{f"gap, {name}": gap(cell, name) for name in names}}
        for cell in content.cells
    ]
    caption = "Gap to the best possible, in points: how far below it (too few: the problems do not tell)"
    table = Table("overview", caption, tuple(columns), tuple(rows))
    if content.subjects:
        table = replace(table, intervals="intervals that are corrected for all comparisons of the report")
    return Matrix(table, anchors, keys_of(names, colours) if len(names) > 1 else ())


def gap(content: CellContent, name: str) -> Estimate:
    """The best possible accuracy minus a learner's: of a model or network as judged among all comparisons of the
    report. Unknown where no ceiling is, and of a model whose answers could not be used.
    """
    best = ceiling_of(content.cell.learners, content.task, content.cell.n)
    if judgement := content.judged.get((name, best)):
        value, low, high = judgement.shown
        return judgement.shown if judgement.shown.identical else Estimate(-value, -high, -low)
    if name in content.cell.models or name in content.cell.networks:
        return NOTHING
    return difference(content.cell, best, name) if best and name in content.cell.learners else NOTHING
