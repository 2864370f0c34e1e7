"""The numbers of a report as macros: `\\iclMajorityNThreeBayesAverage`."""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import chain, count

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.document import Column, Table
from llm_icl.reports.export.latex import number
from llm_icl.reports.export.parts import Part
from llm_icl.reports.values import Kind, Value, written

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
_UNITS = {"share": "percent", "change": "percent", "points": "points"}
# A number of examples may be a word ("not reached"); a macro's is a number.
_WITHOUT_WORDS: dict[Kind, Kind] = {"examples": "count"}
# Macros are for text and for formulas.
_MATHEMATICS, _ENSURED = re.compile(r"\$(.*?)\$"), r"\\ensuremath{\1}"
# What tells rows apart whatever else does.
_PLACES = ("task", "n")


def numbers_text(parts: Sequence[Part]) -> str:
    """A macro for each number of each table that is not in a fold, and for the ends of its interval, each after a
    comment on what it is. Numbers are rounded as in the report; a number that is unknown has no macro.
    """
    lines = ["% Numbers of a report by llm-icl. The names: task, n, row, key of the column (as in the CSV files)."]
    taken: set[str] = set()
    for part in parts:
        if isinstance(part.block, Table) and not part.folded:
            lines += _macros(part, part.block, taken)
    return "\n".join(lines) + "\n"


def letters(text: str) -> str:
    """A name of letters only: `smollm2-135m` is SmollmTwoOneThreeFiveM."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    pieces = re.findall("[A-Za-z]+|[0-9]", ascii_only)
    return "".join(_DIGITS[int(piece)] if piece.isdigit() else piece[0].upper() + piece[1:] for piece in pieces)


def _macros(part: Part, table: Table, taken: set[str]) -> Iterator[str]:
    naming = _naming(table)
    where = [f"{key} {part.about[key]}" if key == "n" else str(part.about[key]) for key in _PLACES if key in part.about]
    for row in table.rows:
        which = [_said(row.get(column.key), column) for column in naming]
        named = letters(" ".join([*where, *which]))
        for column in table.columns:
            for end, value in _numbers(row.get(column.key)) if column not in naming else ():
                macro = _unique(named, letters(table.key), letters(f"{column.key} {end}"), taken)
                taken.add(macro)
                about = ", ".join(" ".join(text.split()) for text in [*where, *which])
                unit = f", {_UNITS[column.kind]}" if column.kind in _UNITS else ""
                yield f"% {about}: {column.name}{unit}{f', {end} end of the interval' if end else ''}"
                shown = number(value, _WITHOUT_WORDS.get(column.kind, column.kind))
                yield rf"\newcommand{{\{macro}}}{{{_MATHEMATICS.sub(_ENSURED, shown)}}}"


def _naming(table: Table) -> list[Column]:
    """The columns that tell rows apart: the first ones, as many as it takes, and a task and an n anywhere."""
    plain = [
        column for column in table.columns if not any(isinstance(row.get(column.key), Estimate) for row in table.rows)
    ]
    for first in range(1, len(plain) + 1):
        if len({tuple(row.get(column.key) for column in plain[:first]) for row in table.rows}) == len(table.rows):
            break
    else:
        first = 1
    return [*plain[:first], *(column for column in plain[first:] if column.key in _PLACES)]


def _numbers(value: Value) -> Iterator[tuple[str, float]]:
    """A number itself and the ends of its interval, where they are finite."""
    if isinstance(value, str) or value is None:
        return
    parts = zip(("", "low", "high"), value, strict=True) if isinstance(value, Estimate) else [("", value)]
    yield from ((end, part) for end, part in parts if math.isfinite(part))


def _unique(named: str, table: str, quantity: str, taken: set[str]) -> str:
    """Where two would have the same name, the table's is part of it, then a number."""
    names = (f"icl{named}{quantity}", f"icl{named}{table}{quantity}")
    numbered = (f"icl{named}{table}{letters(str(i))}{quantity}" for i in count(2))
    return next(name for name in chain(names, numbered) if name not in taken)


def _said(value: Value, column: Column) -> str:
    return value if isinstance(value, str) else f"{column.key} {written(value, column.kind)}"
