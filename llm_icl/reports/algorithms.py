"""Verdicts on algorithms in reports: sentences, a table, and a figure over training. A record is `Likelihood.verdict`'s
JSON data.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from llm_icl.analysis.identification.verdict import KINDS, in_short
from llm_icl.analysis.intervals import Estimate
from llm_icl.config.specs import counted
from llm_icl.reports.charts import Axis, Point, lines
from llm_icl.reports.document import Badge, Column, Figure, Row, Table
from llm_icl.reports.verdicts import Verdict, listed

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


def sentence(record: Record) -> str:
    """What a verdict says of "it", with the number of answers behind it."""
    verdict = _verdict(record)
    said = [verdict.sentence("unseen queries")]
    if verdict.kind == "single" and verdict.close:
        said.append(f"This is weak: these queries hardly tell it from {listed(verdict.close)}.")
    if verdict.kind == "too few" or verdict.close:
        said.append("`llm-icl identify` asks queries that tell.")
    if record["answers"]:
        least = min((low for low, _ in record.get("examples", [])), default=0)
        behind = f" behind at least {least} examples" if least else ""
        said.append(
            f"(From {counted(record['answers'], 'answer')}{behind}, on {counted(record['problems'], 'problem')}.)"
        )
    if elsewhere := record.get("elsewhere"):
        said.append(f"Another run of this report says: {listed(elsewhere)}.")
    return " ".join(said)


def short(record: Record) -> str:
    """A verdict in a few words, for a list of many."""
    names = record["names"]
    if record["verdict"] == "too few":
        return "too few unseen queries to tell"
    if record["verdict"] == "single":
        return f"{listed(names)}{' (weak)' if record['close'] else ''}"
    return in_short(record["verdict"], names)


def badge(record: Record) -> Badge:
    found = _verdict(record).badge
    return "weak" if found == "clear" and record.get("elsewhere") else found


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
        "close": listed(record.get("close", [])),
        "left": record.get("left", ""),
        "problems": record["problems"],
        "answers": record["answers"] or "",  # not counted where there are too few problems
    }


def _verdict(record: Record) -> Verdict:
    wanted = record.get("needed")
    return Verdict(
        record["verdict"],
        tuple(record["names"]),
        record["problems"],
        share=_share(record),
        own_known=record.get("own_known", True),  # runs of earlier versions do not say
        needed=np.nan if wanted is None else wanted,
        examples=tuple(f"{low} to {high}" for low, high in record.get("examples", [])),
        left=record.get("left", ""),
        close=tuple(record.get("close", [])),
    )


def _share(record: Record) -> Estimate:
    value, low, high = (np.nan if end is None else end for end in record.get("share", [None] * 3))
    return Estimate(value, low, high)
