"""Paired differences of learners in each cell, for a reader to choose from."""

import math
from typing import Any

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.comparisons import compare
from llm_icl.experiments.evaluation.reports.content import Content
from llm_icl.reports.document import Panel


def compare_panel(content: Content) -> Panel | None:
    """Pairs of models and networks with each other and with all learners; without models, of all learners. None if
    there are no two.
    """
    names = list(dict.fromkeys(name for content_cell in content.cells for name in content_cell.cell.learners))
    first = content.subjects or names
    names = [*first, *(name for name in names if name not in first)]
    if len(names) < 2:
        return None
    pairs = []
    for i, one in enumerate(first):
        for j in range(i + 1, len(names)):
            cells = enumerate(each.cell for each in content.cells)
            rows = [[place, *row] for place, cell in cells if (row := _row(cell, one, names[j]))]
            if rows:
                pairs.append([i, j, rows])
    cells_about = [{"title": each.cell.title, "task": each.cell.task, "n": each.cell.n} for each in content.cells]
    index = {"names": names, "cells": cells_about, "pairs": pairs, "first": names[:2]}
    says = (
        "Choose two: a model, one prompt against another, a network, a learner. Intervals are 95 % each, paired by "
        "problem; they are not corrected for how many pairs you look at."
    )
    return Panel("compare", says, index)


def _row(cell: Cell, first: str, second: str) -> list[Any] | None:
    """The difference with its interval, the problems, and how many of them have different answers."""
    if first not in cell.learners or second not in cell.learners:
        return None
    one, other = cell.learners[first], cell.learners[second]
    compared = compare(one.correct, other.correct, (one.prediction, other.prediction))
    if not compared.problems:
        return None
    estimate = compared.estimate()
    ends = [round(end, 5) if math.isfinite(end) else None for end in estimate[1:]]
    return [round(estimate.value, 5), *ends, compared.problems, compared.differing]
