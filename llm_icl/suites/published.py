"""What was published on a suite's question, beside what its runs show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.comparisons import MARGIN, Comparison, compare
from llm_icl.analysis.intervals import LEVEL, Estimate
from llm_icl.config.cards import Card
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.reports.content import CellContent, gather
from llm_icl.learners.base import learner_of
from llm_icl.reports.document import Column, Paragraph, Row, Section, Table
from llm_icl.runs import RunDirectory
from llm_icl.suites.matrix import listed

Expected = Literal["above", "below", "equivalent", "not below"]
_EXPECTED: tuple[Expected, ...] = ("above", "below", "equivalent", "not below")
# All language models of a suite, whichever they are.
_MODELS = "models"
_COLUMNS = (
    Column("published", "published", short=True),
    Column("compared here", "compared", short=True),
    Column("difference (points)", "difference", "points", True),
    Column("agrees", "agrees", short=True),
    Column("if not", "reason"),
)
_ABOUT = (
    "Differences are of the accuracy in the last half of the positions, paired by problem, with intervals that are "
    "corrected for all comparisons of this table (Bonferroni). As good as, "
    f"nearly perfect, at chance: shown to be within {100 * MARGIN:.0f} points of the other, of the best possible, of "
    "the best constant."
)


@dataclass(frozen=True)
class Claim:
    """A published statement as a comparison: on each of the tasks that are run (at some n; at all if empty), each of
    the first learners is above, below, equivalent to or not below each of the second ones. `reason` is why it may be
    otherwise here.
    """

    says: str
    tasks: tuple[str, ...]
    ns: tuple[int, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]
    expected: Expected
    reason: str


def claims_of(card: Card) -> tuple[Claim, ...]:
    """The claims under `published`. Raises RequestError."""
    claims = card.fields.get("published", [])
    if claims and card.fields.get("kind") == "identify":
        raise card.error("'published' compares accuracies, and answers to probes are not scored", "published")
    if not isinstance(claims, list) or not all(isinstance(claim, dict) for claim in claims):
        raise card.error("'published' must be a list of statements", "published")
    return tuple(_claim(card, claim) for claim in claims)


def _claim(card: Card, fields: dict[str, Any]) -> Claim:
    where = Card(f"{card.where}, published", fields, {})
    where.only(
        ("says", "task", "n", "first", "second", "expected", "reason"), ("says", "task", "first", "second", "expected")
    )
    ns = listed(fields.get("n", []))
    if not all(isinstance(n, int) and not isinstance(n, bool) for n in ns):
        raise where.error(f"'n' must be whole numbers, not {fields['n']!r}")
    if fields["expected"] not in _EXPECTED:
        raise where.error(f"'expected' must be one of {', '.join(_EXPECTED)}, not {fields['expected']!r}")
    tasks, first, second = (tuple(map(str, listed(fields[key]))) for key in ("task", "first", "second"))
    return Claim(where.text("says"), tasks, tuple(ns), first, second, fields["expected"], where.text("reason"))


def published_section(claims: Sequence[Claim], runs: Sequence[RunDirectory]) -> Section | None:
    """Each claim with what finished evaluations show of it; None without claims."""
    if not claims:
        return None
    contents = gather(runs).cells
    cells = [content.cell for content in contents]
    pairs = {
        (i, cell.title, first, second): _compare(cell, first, second)
        for i, claim in enumerate(claims)
        for cell, first, second in _places(claim, cells)
    }
    # Intervals that all hold together (Bonferroni): Holm's bound is on false differences from 0, not from the margin.
    level = 1 - (1 - LEVEL) / max(sum(pair.differing > 0 for pair in pairs.values()), 1)
    rows: list[Row] = []
    for i, claim in enumerate(claims):
        mine = {key: pair.estimate(level) for key, pair in pairs.items() if key[0] == i}
        impossible = {
            (name, content.cell.title): reason
            for content in contents
            if _is_about(claim, content.cell)
            for name in (*claim.first, *claim.second)
            if name not in content.cell.learners and (reason := _refusal(name, content))
        }
        for (name, title), reason in impossible.items():
            said = f"{name} cannot be computed here: {reason}"
            rows.append(
                {"published": claim.says, "compared": f"{name}; {title}", "agrees": "not possible", "reason": said}
            )
        if absent := _absent(claim, cells, {name for name, _ in impossible}):
            rows.append({"published": claim.says, "compared": absent, "agrees": "not run"})
        for (_, title, first, second), difference in mine.items():
            agrees = agreement(claim, difference)
            rows.append(
                {
                    "published": claim.says,
                    "compared": f"{first} against {second}; {title}",
                    "difference": difference,
                    "agrees": agrees,
                    "reason": "" if agrees == "yes" else claim.reason,
                }
            )
    table = Table("published", "Published statements, and what was run here", _COLUMNS, tuple(rows))
    return Section("Published, and here", "published", (Paragraph(_ABOUT), table))


def agreement(claim: Claim, difference: Estimate) -> str:
    """Whether what is shown is what was published. A difference may be clear and still small: equivalence asks only for
    the margin.
    """
    _, low, high = (0.0, 0.0, 0.0) if difference.identical else difference
    within = low > -MARGIN and high < MARGIN
    beyond = f", by more than {100 * MARGIN:.0f} points"
    if claim.expected == "equivalent":
        found = {"yes": within, f"no: above{beyond}": low > MARGIN, f"no: below{beyond}": high < -MARGIN}
    elif claim.expected == "not below":
        found = {"yes": low > -MARGIN, f"no: below{beyond}": high < -MARGIN}
    else:
        above, below = low > 0, high < 0
        yes, other = (above, below) if claim.expected == "above" else (below, above)
        found = {
            "yes": yes,
            f"no: {'below' if claim.expected == 'above' else 'above'}": other,
            "no: equivalent": within,
        }
    return next((said for said, holds in found.items() if holds), "too few problems to tell")


def _places(claim: Claim, cells: Sequence[Cell]) -> Iterator[tuple[Cell, str, str]]:
    for cell in cells:
        if _is_about(claim, cell):
            for first in claim.first:
                for name in cell.models if first == _MODELS else [first]:
                    for second in claim.second:
                        if name in cell.learners and second in cell.learners:
                            yield cell, name, second


def _is_about(claim: Claim, cell: Cell) -> bool:
    return cell.task in claim.tasks and (not claim.ns or cell.n in claim.ns)


def _refusal(name: str, content: CellContent) -> str:
    """Why a classical learner cannot answer the problems of a cell; empty if it can, or is none."""
    try:
        return learner_of(parse_specs([name])[0]).refusal(content.task, content.cell.n)
    except RequestError:
        return ""


def _absent(claim: Claim, cells: Sequence[Cell], impossible: set[str]) -> str:
    """What a claim needs that was not run and is not impossible: its tasks, or learners on them; empty if all was."""
    about = [cell for cell in cells if _is_about(claim, cell)]
    if not about:
        return " or ".join(claim.tasks)
    known = {name for cell in about for name in cell.learners} | impossible
    known |= {_MODELS} if any(cell.models for cell in about) else set()
    return ", ".join(name for name in (*claim.first, *claim.second) if name not in known)


def _compare(cell: Cell, first: str, second: str) -> Comparison:
    half = cell.positions >= np.median(cell.positions)
    one, other = cell.learners[first], cell.learners[second]
    answers = one.prediction[:, half], other.prediction[:, half]
    return compare(one.correct[:, half], other.correct[:, half], answers)
