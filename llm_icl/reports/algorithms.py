"""Verdicts on algorithms in reports: sentences, a table, and a figure over training. A record is `Likelihood.verdict`'s
JSON data.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from llm_icl.analysis.identification.verdict import HALF, KINDS
from llm_icl.analysis.intervals import Estimate
from llm_icl.config.specs import any_of, counted
from llm_icl.reports.charts import Axis, Point, lines
from llm_icl.reports.document import Badge, Column, Figure, Row, Table

Record = dict[str, Any]

_COLUMNS = (
    Column("verdict", "verdict"),
    Column("algorithms", "algorithms"),
    Column("explained", "share", "share"),
    Column("hardly told from", "close"),
    Column("what is left depends on", "left"),
    Column("problems", "problems", "count"),
    Column("answers", "answers", "count"),
)
_NOTES = (
    "Which algorithm: the likelihood of known algorithms, each with the noise that fits it best, for answers to unseen "
    "queries. They are the queries that were asked anyway, few of which tell algorithms apart; `llm-icl identify` "
    "searches those that do.",
    "Explained: the share of what is regular in the answers, beyond a constant, that the verdict's model explains; of "
    "labels a lower bound, because their noise is not known.",
)
# Algorithms in the figure over training: those that explain most at any step.
_SHOWN = 6
# Of more algorithms than this that cannot be told apart, the number of the others is given.
_NAMED = 4


def sentence(record: Record) -> str:
    """What a verdict says of "it", with the number of answers behind it."""
    said = _SENTENCES.get(record["verdict"], _several)(record, record["names"])
    if not record["answers"]:
        return said
    return f"{said} ({counted(record['answers'], 'answer')} on {counted(record['problems'], 'problem')}.)"


def short(record: Record) -> str:
    """A verdict in a few words, for a list of many."""
    names = record["names"]
    if record["verdict"] == "too few":
        return "too few unseen queries to tell"
    if record["verdict"] == "single":
        return f"{_or(names)}{' (weak)' if record['close'] else ''}"
    named = f" ({', '.join(names)})" if names else ""
    return f"{KINDS[record['verdict']]}{named}"


def badge(record: Record) -> Badge:
    """How firmly a verdict is said: weakly, where others are hardly told apart, where it is nearest to one and not it,
    or where the interval of what is explained does not show that it is less than half.
    """
    if record["verdict"] == "too few":
        return "can't tell"
    several = record["verdict"] == "single" and len(record["names"]) > 1
    perhaps_half = record["verdict"] == "none" and not _share(record).high < HALF
    return "weak" if several or perhaps_half or record["close"] or record["verdict"] == "nearest" else "clear"


def algorithms_table(first: Column, records: Iterable[tuple[str | int, Record]]) -> Table:
    """A row for each verdict, with what it is of in the first column."""
    rows = tuple({first.key: of, **_row(record)} for of, record in records)
    return Table("algorithms", "Which algorithm, by the unseen queries that were asked", (first, *_COLUMNS), rows)


def algorithms_notes(records: Iterable[Record]) -> list[str]:
    """How the verdicts were found, and which algorithms were left out."""
    records = list(records)
    names = sorted({name for record in records for name in record.get("left_out", [])})
    left_out = [f"Not among the algorithms, because it would take long: {', '.join(names)}."] if names else []
    return [*_NOTES, *left_out] if records else []


def shares_over_training(records: Sequence[Record], task: str, colours: Mapping[str, str]) -> Figure:
    """The share that each algorithm explains alone, by training step."""
    shares = [(record["step"], name, share) for record in records for name, share in record["shares"].items()]
    best: dict[str, float] = {}
    for _, name, share in shares:
        best[name] = max(best.get(name, -np.inf), -np.inf if share is None else share)
    shown = sorted(best, key=lambda name: -best[name])[:_SHOWN]
    series = {
        name: [
            Point(step, max(share, 0.0), f"{100 * max(share, 0.0):.1f} % explained")
            for step, of, share in shares
            if of == name and share is not None
        ]
        for name in shown
    }
    ends = ", ".join(f"{name} {100 * points[-1].y:.0f} %" for name, points in series.items() if points)
    says = f"The share of the network's answers on {task} that each algorithm explains, by training step; last: {ends}."
    x, y = Axis("training steps", scale="symlog"), Axis("explained", form="%", domain=(0, 1))
    return lines("algorithms", f"Which algorithm, over training ({task})", series, x, y, colours, says)


def _row(record: Record) -> Row:
    return {
        "verdict": KINDS[record["verdict"]],
        "algorithms": ", ".join(record["names"]),
        "share": _share(record),
        "close": _or(record.get("close", [])),
        "left": record.get("left", ""),
        "problems": record["problems"],
        "answers": record["answers"],
    }


def _share(record: Record) -> Estimate:
    value, low, high = (np.nan if end is None else end for end in record.get("share", [None] * 3))
    return Estimate(value, low, high)


def _explained(record: Record) -> str:
    share = _share(record)
    return f"{100 * share.value:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"


def _too_few(record: Record, names: list[str]) -> str:
    wanted = record.get("needed")
    enough = f" (about {np.ceil(wanted):,.0f} problems would)" if wanted else ""
    if names:
        return (
            f"It answers like {_or(names)}: these queries hardly tell them apart{enough}; `llm-icl identify` asks "
            "those that do."
        )
    return (
        f"Too few unseen queries to say which algorithm it runs{enough.replace('would', 'would do')}; `llm-icl "
        "identify` asks those that tell."
    )


def _independent(record: Record, names: list[str]) -> str:
    if names == ["the query"]:
        return "Its answers to unseen queries depend on the query only, not on the examples."
    return f"Its answers to unseen queries do not depend on the examples{f' ({names[0]})' if names else ''}."


def _single(record: Record, names: list[str]) -> str:
    same = ", which give the same answers here" if len(names) > 1 else ""
    said = (
        f"Its answers to unseen queries are those of {_or(names)}{same}, up to noise ({_explained(record)} explained)."
    )
    if record["close"]:
        said += (
            f" This is weak: these queries hardly tell it from {_or(record['close'])}; `llm-icl identify` asks those "
            "that do."
        )
    return said


def _changes(record: Record, names: list[str]) -> str:
    parts = [f"{name} at {low} to {high}" for name, (low, high) in zip(names, record["examples"], strict=True)]
    return f"Its algorithm changes with the number of examples: {', '.join(parts)}."


def _several(record: Record, names: list[str]) -> str:
    explain = f"explain {_explained(record)}"
    left = f"what is left depends on {record['left']}"
    if record["verdict"] == "none":
        return f"It runs none of the known algorithms: together they {explain}; {left}."
    if record["verdict"] == "nearest":
        return f"It is nearest to {names[0]}, but does not run it: all algorithms together {explain}; {left}."
    over = "drawn anew at every query" if record["verdict"] == "queries" else f"over {record['verdict']}"
    return f"Its answers are a mixture of {' and '.join(names)}, {over}."


def _or(names: Sequence[str]) -> str:
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} others"]
    return any_of(names)


_SENTENCES = {"too few": _too_few, "independent": _independent, "single": _single, "changes": _changes}
