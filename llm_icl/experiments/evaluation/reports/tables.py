"""The tables of a cell."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.cells import STATUS_SHARES, Cell
from llm_icl.analysis.scores import TARGET, Score
from llm_icl.config.specs import counted
from llm_icl.reports.algorithms import short
from llm_icl.reports.document import Column, Row, Table

_SCORES = (
    Column("learner", "learner", short=True),
    Column("mean", "average", "share", short=True),
    Column("regret vs. bayes (points)", "regret", "points", short=True),
    Column("unseen", "unseen", "share", short=True),
    Column("identified as", "identified", short=True),
    Column("last position", "last", "share"),
    Column("seen", "seen", "share"),
    Column("regret vs. bayes-labels (points)", "regret_labels", "points"),
    Column(f"examples to {100 * TARGET:.0f} %", "examples", "examples"),
    Column("log loss", "log_loss", "number"),
    Column("log loss above bayes-labels", "regret_log_loss", "number"),
    Column("overconfidence (points)", "overconfidence", "points"),
)
_MASS = Column("probability on the labels", "mass", "share")
_UNUSED = (
    Column("learner", "learner"),
    *(Column(status.replace("_", " "), status, "share") for status in STATUS_SHARES),
    Column("coverage (positions)", "coverage", "share"),
    Column("mean if missing = wrong", "low", "share"),
    Column("mean if missing = correct", "high", "share"),
)


def scores_table(cell: Cell, scores: list[Score], algorithms: Mapping[str, dict[str, Any]]) -> Table:
    """Scores in percent with 95 % intervals, and what each subject was identified as."""
    columns: tuple[Column, ...] = (*_SCORES, _MASS) if any(score.mass == score.mass for score in scores) else _SCORES
    if not algorithms:
        columns = tuple(column for column in columns if column.key != "identified")
    said = {name: short(record) for name, record in algorithms.items()}
    rows = tuple(
        {column.key: getattr(score, column.key) for column in columns if column.key != "identified"}
        | ({"identified": said.get(score.learner, "")} if algorithms else {})
        for score in scores
    )
    return Table("scores", "Scores by learner", columns, rows, frozenset(cell.models + cell.networks))


def asked_lines(cell: Cell) -> list[str]:
    """Which learners were asked only a part of the cell's queries, or answered none at some positions."""
    lines, parts = [], dict[str, list[str]]()
    for name, answered in cell.learners.items():
        if not answered.asked.all():
            of_problems, problems = np.unique(answered.asked[answered.asked.any(axis=1)], axis=0, return_counts=True)
            each = [
                f"{count} of {counted(cell.problems, 'problem')}, positions {ranges(cell.positions[asked])}"
                for asked, count in zip(of_problems[::-1], problems[::-1], strict=True)
            ]
            parts.setdefault("; ".join(each), []).append(name)
        silent = cell.positions[answered.asked.any(axis=0) & np.isnan(answered.correct).all(axis=0)]
        if len(silent):
            lines.append(f"{name}: no answer at {'position' if len(silent) == 1 else 'positions'} {ranges(silent)}.")
    for part, names in parts.items():
        lines.append(f"{', '.join(names)}: asked {part}.")
    if parts:
        lines.append(
            "Each accuracy is over the learner's own queries; differences and regrets are over shared queries."
        )
    return lines


def unused_table(scores: list[Score]) -> Table:
    """Unusable answers and missing positions, for learners that have any."""
    rows = tuple(_unused(score) for score in scores if score.statuses or score.coverage < 1)
    return Table("unused", "Unusable answers and missing positions", _UNUSED, rows)


def unused_lines(scores: list[Score]) -> list[str]:
    """The same in words, with bounds for missing positions."""
    lines = []
    for score in scores:
        rates = ", ".join(f"{status} {100 * rate:.1f} %" for status, rate in score.statuses.items())
        if rates:
            lines.append(f"{score.learner}: {rates} of the answers.")
        if score.coverage < 1:
            low, high = score.bounds
            lines.append(
                f"{score.learner}: {100 * score.coverage:.1f} % of positions covered; the mean accuracy is between "
                f"{100 * low:.1f} % (missing = wrong) and {100 * high:.1f} % (missing = correct)."
            )
    return lines


def ranges(positions: NDArray[np.int64]) -> str:
    """Ascending positions, with runs of consecutive ones as ranges: 0, 4 to 7."""
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    return ", ".join(f"{run[0]}" if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in np.split(positions, breaks))


def _unused(score: Score) -> Row:
    statuses = {status: score.statuses.get(status, 0.0) for status in STATUS_SHARES}
    low, high = score.bounds
    return {"learner": score.learner, **statuses, "coverage": score.coverage, "low": low, "high": high}
