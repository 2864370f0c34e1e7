"""Differences of learners in each cell, for a reader to choose from: on all problems or on one seed's, paired; and of
one learner between two seeds, which have different problems.
"""

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.comparisons import compare
from llm_icl.analysis.intervals import Estimate, unpaired
from llm_icl.analysis.scores import accuracy
from llm_icl.experiments.evaluation.reports.content import Content
from llm_icl.reports.document import Panel


def compare_panel(content: Content) -> Panel | None:
    """Pairs of models and networks with each other and with all learners; without models, of all learners. None if
    there are no two.

    A pair is two places in `names`, a seed (null: all problems) and a row for each cell; `between` has one place, two
    seeds, and such rows. A row is the place of its cell, the difference with its interval, and the problems: how many
    are shared, and how many of these differ; or how many each of the seeds has.
    """
    cells = [each.cell for each in content.cells]
    names = list(dict.fromkeys(name for cell in cells for name in cell.learners))
    first = content.subjects or names
    names = [*first, *(name for name in names if name not in first)]
    seeds = sorted({int(seed) for cell in cells for seed in cell.ids[:, 0]})
    if len(seeds) < 2:
        seeds = []
    if len(names) < 2 and not seeds:
        return None
    pairs = []
    for i, one in enumerate(first):
        for j in range(i + 1, len(names)):
            for seed in (None, *seeds):
                if rows := _rows([_paired(cell, one, names[j], seed) for cell in cells]):
                    pairs.append([i, j, seed, rows])
    between = []
    for i, name in enumerate(names):
        for two in combinations(seeds, 2):
            if rows := _rows([_unpaired(cell, name, *two) for cell in cells]):
                between.append([i, *two, rows])
    about = [{"title": cell.title, "task": cell.task, "n": cell.n} for cell in cells]
    index = {"names": names, "seeds": seeds, "cells": about, "pairs": pairs, "between": between}
    says = (
        "Choose two: a model, one prompt against another, a network, a learner. Intervals are 95 % each, paired by "
        "problem; they are not corrected for how many pairs you look at."
    )
    if seeds:
        says += (
            " On the problems of one seed, both; or one learner on two seeds, which have different problems: then the "
            "interval is that of independent samples."
        )
    return Panel("compare", says, index)


def _rows(of_cells: Sequence[list[Any] | None]) -> list[list[Any]]:
    return [[place, *row] for place, row in enumerate(of_cells) if row]


def _paired(cell: Cell, first: str, second: str, seed: int | None) -> list[Any] | None:
    """The difference with its interval, the problems, and how many of them have different answers."""
    if first not in cell.learners or second not in cell.learners:
        return None
    one, other = cell.learners[first], cell.learners[second]
    where = None if seed is None else cell.ids[:, 0] == seed
    compared = compare(one.correct, other.correct, (one.prediction, other.prediction), where)
    if not compared.problems:
        return None
    return [*_written(compared.estimate()), compared.problems, compared.differing]


def _unpaired(cell: Cell, name: str, first: int, second: int) -> list[Any] | None:
    """The accuracy on the problems of one seed minus that on another's, with its interval, and the problems of both."""
    if name not in cell.learners:
        return None
    parts = [cell.learners[name].correct[cell.ids[:, 0] == seed] for seed in (first, second)]
    difference = unpaired(*map(accuracy, parts))
    if not difference.known:
        return None
    return [*_written(difference), *(int((~np.isnan(part)).any(axis=1).sum()) for part in parts)]


def _written(difference: Estimate) -> list[float | None]:
    ends = [round(end, 5) if math.isfinite(end) else None for end in difference[1:]]
    return [round(difference.value, 5), *ends]
